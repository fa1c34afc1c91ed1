//! Writes the seeds of every target to `corpus/<target>/`, from where a run takes them.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in schur_fuzz::Target::ALL {
        let corpus = folder.join("corpus").join(target.name());
        fs::create_dir_all(&corpus)?;
        for (k, seed) in target.seeds(folder.parent().unwrap_or(folder))?.iter().enumerate() {
            fs::write(corpus.join(format!("seed-{k}")), seed)?;
        }
    }
    Ok(())
}
