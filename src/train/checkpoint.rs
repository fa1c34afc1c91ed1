//! Checkpoints of a run, in one safetensors file.
//!
//! | arrays | |
//! | --- | --- |
//! | `params/…`, `batch_stats/…` | the model's, under their names |
//! | `optimizer/<moment>/<name>` | the moments of the optimiser |
//! | `progress/…` | the steps done, and the epochs, as f64 |
//! | `settings/…` | the numbers that the steps depend on: a run is resumed with the same ones |
//!
//! Among the settings are `target:<output>`, `input:<name>` and `layer:<name>` of every part of the spec, and `data`, of the rows.
//! A seed that is no `f64` is in two halves, `seed-high` and `seed-low`.

use std::path::Path;

use indexmap::IndexMap;
use schur_ir::counted::Counted;
use schur_runtime::array::{Array, Data};
use schur_runtime::checkpoint;
use schur_runtime::store::ParamStore;

use super::error::TrainError;
use super::loss::Loss;
use super::optimizer::Method;
use super::schedule::Decay;
use super::told::{DATA, difference};
use super::trainer::{Epoch, Progress, Trainer};
use crate::error::Error;

/// True for the name of an array that belongs to a run and not to its model.
pub fn is_state(name: &str) -> bool {
    ["optimizer/", "progress/", "settings/"].iter().any(|prefix| name.starts_with(prefix))
}

/// No larger integers are an `f64` each.
const LARGEST_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

type Arrays = IndexMap<String, Array>;

fn numbers(values: Vec<f64>) -> Array {
    Array::new([values.len()], Data::F64(values.into())).expect("one axis holds any number of elements")
}

/// Takes the arrays whose names begin so, without that.
fn take(arrays: &mut Arrays, prefix: &str) -> Arrays {
    let (taken, rest) = std::mem::take(arrays).into_iter().partition(|(name, _)| name.starts_with(prefix));
    *arrays = rest;
    let taken: Arrays = taken;
    taken.into_iter().map(|(name, array)| (name[prefix.len()..].to_owned(), array)).collect()
}

impl Trainer {
    /// Saves the run: whole, or not at all.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let Progress { step, loss, untrained, epochs } = &self.progress;
        let params = self.params.iter().map(|(name, array)| (name.to_owned(), array.clone()));
        let moments = self.optimizer.moments().flat_map(|(moment, store)| {
            store.iter().map(move |(name, array)| (format!("optimizer/{moment}/{name}"), array.clone()))
        });
        let progress = [
            ("step", vec![*step as f64]),
            ("loss", vec![*loss]),
            ("untrained", vec![*untrained]),
            ("losses", epochs.iter().map(|epoch| epoch.loss).collect()),
            ("errors", epochs.iter().map(|epoch| epoch.error).collect()),
        ];
        let progress = progress.into_iter().map(|(name, values)| (format!("progress/{name}"), numbers(values)));
        let settings = self.fixed().into_iter().map(|(name, value)| (format!("settings/{name}"), numbers(vec![value])));
        let arrays: Arrays = params.chain(moments).chain(progress).chain(settings).collect();
        Ok(checkpoint::write(path, arrays.iter().map(|(name, array)| (name.as_str(), array)))?)
    }

    /// Goes on where a saved run was. Where that is not possible, everything is as it was.
    pub fn resume(&mut self, path: &Path) -> Result<(), Error> {
        let mut arrays = checkpoint::read(path)?;
        let fail = |fault: &dyn ToString| TrainError::resume(path, fault.to_string());
        self.check_settings(&take(&mut arrays, "settings/")).map_err(|fault| fail(&fault))?;
        let mut moments = take(&mut arrays, "optimizer/");
        let mut read = "";
        let optimizer = self.optimizer.with_moments(|moment| {
            read = moment;
            take(&mut moments, &format!("{moment}/"))
        });
        let optimizer = optimizer.map_err(|fault| fail(&format!("under `optimizer/{read}/`, {fault}")))?;
        let progress = progress(&take(&mut arrays, "progress/")).map_err(|fault| fail(&fault))?;
        let program = self.program();
        let slots = program.params.iter().map(|slot| &slot.param);
        let params = ParamStore::from_arrays(slots, program.dtype, arrays).map_err(|fault| fail(&fault))?;
        if progress.epochs.len() as u64 != progress.step / self.steps_an_epoch() {
            return Err(fail(&"its epochs are not those of its steps").into());
        }
        if progress.step > self.steps() {
            let (done, asked) = (Counted(progress.epochs.len(), "epoch"), self.settings.epochs);
            let more = if progress.step.is_multiple_of(self.steps_an_epoch()) { "" } else { " and a part of one" };
            return Err(fail(&format!("the run has done {done}{more}, which is more than --epochs {asked}")).into());
        }
        (self.optimizer, self.params, self.progress) = (optimizer, params, progress);
        Ok(())
    }

    /// The numbers that steps depend on, what is trained, of which spec, and on which rows.
    fn fixed(&self) -> IndexMap<String, f64> {
        let settings = &self.settings;
        let mut fixed = IndexMap::from([
            ("batch", settings.batch as f64),
            ("rows", self.train.len() as f64),
            ("rate", settings.schedule.rate),
            ("warmup", settings.schedule.warmup as f64),
        ]);
        match settings.seed {
            seed @ 0..=LARGEST_EXACT => fixed.extend([("seed", seed as f64)]),
            seed => fixed.extend([("seed-high", (seed >> 32) as f64), ("seed-low", (seed as u32).into())]),
        }
        match settings.loss {
            Loss::Mse => fixed.insert("mse", 1.0),
            Loss::Mae => fixed.insert("mae", 1.0),
            Loss::Huber { delta } => fixed.insert("huber-delta", delta),
        };
        match settings.method {
            Method::Sgd { momentum } => fixed.extend([("momentum", momentum)]),
            Method::Adam { b1, b2, eps, weight_decay } => {
                fixed.extend([("b1", b1), ("b2", b2), ("eps", eps), ("weight-decay", weight_decay)]);
            }
        }
        match settings.schedule.decay {
            Decay::Constant => {}
            Decay::Cosine => fixed.extend([("cosine-epochs", settings.epochs as f64)]),
        }
        fixed.extend(settings.clip.map(|clip| ("clip", clip)));
        let target = (format!("target:{}", self.train.layout().target), 1.0);
        let data = (DATA.to_owned(), self.data);
        let spec = self.spec.iter().map(|(part, number)| (part.clone(), *number));
        fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).chain([target, data]).chain(spec).collect()
    }

    /// Checks that a saved run had the same settings, the same spec and the same rows.
    fn check_settings(&self, saved: &Arrays) -> Result<(), String> {
        if saved.is_empty() {
            return Err("it holds no run of training".to_owned());
        }
        let value = |(name, array): (&String, &Array)| Some((name.clone(), array.to_f64().iter().copied().next()?));
        difference(&saved.iter().filter_map(value).collect(), &self.fixed()).map_or(Ok(()), Err)
    }
}

fn progress(arrays: &Arrays) -> Result<Progress, String> {
    let values = |name: &str| {
        let array = arrays.get(name).ok_or_else(|| format!("it has no `progress/{name}`"))?;
        Ok::<_, String>(array.to_f64().iter().copied().collect::<Vec<f64>>())
    };
    let one = |name| values(name)?.first().copied().ok_or_else(|| format!("its `progress/{name}` is empty"));
    let epochs = values("losses")?.into_iter().zip(values("errors")?);
    Ok(Progress {
        step: one("step")? as u64,
        loss: one("loss")?,
        untrained: one("untrained")?,
        epochs: epochs.map(|(loss, error)| Epoch { loss, error }).collect(),
    })
}
