//! `schur train`: a spec trained on real data.

mod options;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use schur::train::{DataSet, Epoch, Layout, Settings, Step, TrainError, Trainer, svg};
use schur::{Error, Model, checkpoint};

use super::cache::{CacheFolder, tell_failure};
use super::failure::Failure;
use super::files::{
    Named, read_params, require_apart, require_readable, require_safetensors, require_writable, write_text,
};
use super::random::rotations;
use super::terminal::{Progress, Terminal, count, duration};
use super::threads::Threads;
use options::Options;
use report::Report;

/// Train a spec on a file of data, with the loss on one of its outputs.
///
/// One program computes the loss, all gradients and the updated statistics of a batch; another one predicts. All rows of
/// both files are checked before the first step: types, shapes, indices, and that no number is NaN or infinite. At the
/// end, a table shows the loss and the root mean square error (RMSE) of the test set epoch by epoch, and the error of the
/// test set after a random rotation of its inputs and its target.
///
/// The file of `--out` holds the parameters, as `schur run --params` reads them, and the state of the run. Ctrl-C finishes
/// the step and saves; `--resume` goes on from there, to the same bits as if nothing had happened.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  schur train examples/forces/model.toml --target forces \\
      --data examples/forces/train.safetensors \\
      --test examples/forces/test.safetensors \\
      --rate 2e-3 --schedule cosine --epochs 60 \\
      --out forces.safetensors --curve forces.svg
  schur train model.toml --data train.safetensors --test test.safetensors \\
      --target energy=e_total --loss huber --huber-delta 0.1 --optimizer adamw \\
      --weight-decay 1e-2 --warmup 500 --clip 10 --out run.safetensors")]
pub(crate) struct Train {
    /// The model spec: a .toml or .json file.
    spec: PathBuf,
    /// The rows to train on: the inputs and the target by name; other arrays of the file are passed over.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The rows to test with.
    #[arg(long, value_name = "FILE")]
    test: PathBuf,
    /// The output that is trained; `NAME=ARRAY` where the array of the files has another name.
    #[arg(long, value_name = "NAME")]
    target: String,
    #[command(flatten)]
    options: Options,
    /// The parameters to start from; without, they are initialised from the seed.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    params: Option<PathBuf>,
    /// Go on with a run that was saved; the spec and all settings must be those of the run.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Where the run is saved.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// After how many epochs the run is saved; always at the end.
    #[arg(long, value_name = "EPOCHS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    save_every: u64,
    /// Where the picture of losses and errors is written, as an SVG.
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    cache: CacheFolder,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Train {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let settings = self.options.settings(self.threads.most())?;
        self.check_files()?;
        let model = Model::from_file(&self.spec)?;
        let (target, array) = self.target.split_once('=').unwrap_or((&self.target, &self.target));
        let layout = Arc::new(Layout::new(&model, target)?);
        let (train, test) = (data_set(&layout, &self.data, array)?, data_set(&layout, &self.test, array)?);
        require_writable(&self.out)?;
        self.curve.iter().try_for_each(|path| require_writable(path))?;
        let mut trainer = self.trainer(&model, settings, train, test, terminal)?;
        let clock = Instant::now();
        let rows = self.epochs(&model, &mut trainer, terminal)?;
        let work = (rows, clock.elapsed());

        trainer.save(&self.out)?;
        if let Some(path) = &self.curve {
            let title = format!("{}: {target}", model.spec().name);
            let picture = svg(&title, trainer.untrained_error(), trainer.epochs());
            write_text(path, &picture)?;
        }
        let report = report([&model.spec().name, target], &mut trainer, work)?;
        if self.json { terminal.json(&report.to_json()) } else { terminal.print(&report.to_text()) }?;
        terminal.note(&format!("wrote {}", self.out.display()));
        if !report.error.is_finite() {
            let (step, value) = (trainer.steps_done(), report.error);
            return Err(TrainError::Diverged { what: "test RMSE", step, value }.into());
        }
        Ok(())
    }

    /// Refuses files that results cannot be written to. A run may be saved where the one that is resumed was.
    fn check_files(&self) -> Result<(), Failure> {
        require_safetensors(&self.out)?;
        fn given<'a>(option: &'static str, file: &'a Option<PathBuf>) -> Option<Named<'a>> {
            Some((option, file.as_deref()?))
        }
        let (out, curve) = (("--out", &*self.out), given("--curve", &self.curve));
        let written: Vec<Named<'_>> = [out].into_iter().chain(curve).collect();
        let mut read: Vec<Named<'_>> = vec![("the spec", &self.spec), ("--data", &self.data), ("--test", &self.test)];
        read.extend(given("--params", &self.params));
        require_apart(&written, &read)?;
        require_apart(curve.as_slice(), given("--resume", &self.resume).as_slice())
    }

    /// The run before its first step, or where the one that is resumed was.
    fn trainer(
        &self,
        model: &Model,
        settings: Settings,
        train: DataSet,
        test: DataSet,
        terminal: &Terminal,
    ) -> Result<Trainer, Failure> {
        let params = match &self.params {
            Some(path) => read_params(model, path)?,
            None => model.init(settings.seed)?,
        };
        let clock = Instant::now();
        let options = self.cache.options(terminal);
        let trainer = Trainer::new(model, params, settings, train, test, &options);
        let mut trainer = trainer.map_err(too_few_rows)?;
        tell_failure(&options, terminal);
        terminal.note(&format!("compiled and checked all rows in {}", duration(clock.elapsed())));
        if let Some(path) = &self.resume {
            trainer.resume(path)?;
            let [done, all] = [trainer.steps_done(), trainer.steps()].map(|steps| count(steps as usize));
            terminal.note(&format!("resumed after step {done} of {all}"));
        }
        Ok(trainer)
    }

    /// Does all the steps that are left, and says how many rows they went through.
    fn epochs(&self, model: &Model, trainer: &mut Trainer, terminal: &Terminal) -> Result<usize, Failure> {
        let stop = stop_on_interrupt()?;
        let bar = terminal.long_progress(trainer.steps());
        bar.begin_at(trainer.steps_done());
        let mut pace = Pace::new(trainer.settings().batch);
        while !trainer.is_done() {
            let Step { loss, ended } = trainer.step().map_err(|error| explained(model, trainer, error))?;
            pace.add();
            let epoch = (trainer.steps_done() - 1) / trainer.steps_an_epoch() + 1;
            bar.step(format!("epoch {epoch}, loss {loss:.4}, {} rows/s", count(pace.rows_per_second())));
            if let Some(Epoch { loss, error }) = ended {
                let text = format!("epoch {epoch}: loss {loss:.4}, test RMSE {error:.4}, {}", duration(pace.lap()));
                bar.line(terminal, &text);
            }
            let last = trainer.is_done();
            if stop.load(Ordering::Relaxed) && !last {
                return Err(self.stopped(trainer, bar));
            }
            if ended.is_some() && !last && epoch.is_multiple_of(self.save_every) {
                trainer.save(&self.out)?;
            }
        }
        Ok(pace.rows)
    }

    /// Saves, and says how to go on.
    fn stopped(&self, trainer: &Trainer, bar: Progress) -> Failure {
        drop(bar);
        if let Err(error) = trainer.save(&self.out) {
            return error.into();
        }
        let (done, all, out) = (trainer.steps_done(), trainer.steps(), self.out.display());
        let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
        Failure::Stopped {
            message: format!("stopped after step {done} of {all}; the run is saved in {out}"),
            command: resume_command(arguments, &out.to_string()),
        }
    }
}

/// What a run of this model for this target ended with, which went through so many rows in this time.
fn report<'a>(
    [model, target]: [&'a str; 2],
    trainer: &mut Trainer,
    (rows, time): (usize, Duration),
) -> Result<Report<'a>, Failure> {
    Ok(Report {
        model,
        target,
        steps_an_epoch: trainer.steps_an_epoch(),
        untrained: trainer.untrained_error(),
        epochs: trainer.epochs().to_vec(),
        error: trainer.test_error()?,
        rotated: trainer.rotated_error(rotations(1)[0].inverted())?,
        rows_per_second: rows as f64 / time.as_secs_f64(),
        time,
    })
}

/// A failed step; of one that diverged, where that comes from.
fn explained(model: &Model, trainer: &mut Trainer, error: Error) -> Failure {
    if matches!(error, Error::Train(TrainError::Diverged { .. }))
        && let Ok(Some(found)) = trainer.find_non_finite(model)
    {
        return Failure::user(error.to_string(), Some(found.to_string()));
    }
    error.into()
}

/// A run that is not begun; where rows are too few for a batch, with the option that says how many it has.
fn too_few_rows(error: Error) -> Failure {
    if matches!(error, Error::Train(TrainError::Batch { .. })) {
        return Failure::user(error.to_string(), "--batch says how many rows a batch has".to_owned());
    }
    error.into()
}

fn data_set(layout: &Arc<Layout>, path: &Path, target: &str) -> Result<DataSet, Failure> {
    let name = path.to_string_lossy();
    let contents = checkpoint::read_contents(path)?;
    for wanted in layout.inputs.keys().map(String::as_str).chain([target]) {
        require_readable(path, &contents, wanted)?;
    }
    Ok(DataSet::new(layout, &name, &contents.arrays, target)?)
}

/// Is true after Ctrl-C, or when the system asks to end. Who presses it twice does not want to wait.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let handler = move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Failure::user(format!("Ctrl-C cannot be caught: {error}"), None))?;
    Ok(stop)
}

/// The command line that goes on with a saved run, from the one that began it.
fn resume_command(arguments: impl Iterator<Item = String>, file: &str) -> String {
    let mut kept = Vec::new();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let replaced = |name: &str| argument == *name || argument.starts_with(&format!("{name}="));
        match ["--resume", "--params"].iter().find(|name| replaced(name)) {
            Some(name) if argument == **name => drop(arguments.next()),
            Some(_) => {}
            None => kept.push(quoted(&argument)),
        }
    }
    kept.extend(["--resume".to_owned(), quoted(file)]);
    kept.join(" ")
}

/// An argument as a shell reads it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// How fast it goes.
struct Pace {
    batch: usize,
    rows: usize,
    start: Instant,
    lap: Instant,
}

impl Pace {
    fn new(batch: usize) -> Self {
        let now = Instant::now();
        Pace { batch, rows: 0, start: now, lap: now }
    }

    fn add(&mut self) {
        self.rows += self.batch;
    }

    fn rows_per_second(&self) -> usize {
        (self.rows as f64 / self.start.elapsed().as_secs_f64()) as usize
    }

    /// The time since it was asked for.
    fn lap(&mut self) -> Duration {
        std::mem::replace(&mut self.lap, Instant::now()).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_resumes_is_the_one_given_and_where_the_run_is() {
        let of = |text: &str| resume_command(text.split(' ').map(str::to_owned), "a b.safetensors");
        assert_eq!(of("schur train m.toml --rate 2e-3"), "schur train m.toml --rate 2e-3 --resume 'a b.safetensors'");
        let again = "bin/schur train m.toml --resume x --params=p --params q --clip 1";
        assert_eq!(of(again), "bin/schur train m.toml --clip 1 --resume 'a b.safetensors'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
