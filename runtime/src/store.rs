//! The parameter store: the arrays of a model by name, in the program's order.
//!
//! Invariants: names, shapes and element types stay as they were made; only elements change. Whatever may change an
//! element gives the store a fresh version first, so that stores of one version hold the same elements.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use schur_ir::graph::Param;
use schur_ir::program::Program;
use schur_ir::ty::DType;

use crate::aligned::Aligned;
use crate::array::{Array, Data, elements};
use crate::init::draws;
use crate::nearest::Nearest;
use crate::view::ArrayViewMut;

/// The parameters and statistics of a model.
#[derive(Clone, Debug, Default)]
pub struct ParamStore {
    arrays: IndexMap<Arc<str>, Array>,
    layout: Layout,
    version: Version,
}

/// The names, shapes and element types of a store: stores of one layout, which are copies of one another, have the same
/// ones in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout(u64);

impl Default for Layout {
    /// A layout that no store has.
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Layout(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a store holds: stores of one version, which are copies that nobody has changed since, hold the same elements. A
/// version is taken from a counter of the process, so none comes twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u64);

impl Default for Version {
    /// A version that no store has.
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Version(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl PartialEq for ParamStore {
    fn eq(&self, other: &Self) -> bool {
        self.arrays == other.arrays
    }
}

/// What is wrong with the arrays of a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The model has no such array.
    #[error("the model has no parameter `{name}`{nearest}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The nearest known name.
        nearest: Nearest,
    },
    /// An array of the model is missing.
    #[error("the parameter `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A name stands twice.
    #[error("the parameter `{name}` stands there twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// An array has another shape than the model's.
    #[error("the parameter `{name}` has the shape {given:?} where {wanted:?} is wanted")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape.
        given: Vec<usize>,
        /// The shape of the model.
        wanted: Vec<usize>,
    },
    /// An array has another element type than the model's.
    #[error("the parameter `{name}` is {given} where {wanted} is wanted")]
    DType {
        /// Its name.
        name: String,
        /// Its type.
        given: DType,
        /// The type of the model.
        wanted: DType,
    },
    /// Parameters of a type that is no float were asked for.
    #[error("parameters are floats, not {0}")]
    NotFloat(DType),
    /// There is no memory for an array.
    #[error("the parameter `{name}` of shape {shape:?} does not fit in memory")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

impl ParamStore {
    /// The arrays as [`Param::init`] says: the same bits for a seed on every machine, for every array whatever the
    /// others are. `f32` arrays are the rounded `f64` ones.
    pub fn init<'a>(params: impl IntoIterator<Item = &'a Param>, dtype: DType, seed: u64) -> Result<Self, StoreError> {
        let mut arrays = IndexMap::new();
        for param in params {
            if arrays.insert(param.name.clone(), initial(param, dtype, seed)?).is_some() {
                return Err(StoreError::Twice { name: param.name.to_string() });
            }
        }
        Ok(ParamStore { arrays, layout: Layout::default(), version: Version::default() })
    }

    /// The store of a model with these arrays, as from a checkpoint: every one must be the model's, and none missing.
    pub fn from_arrays<'a>(
        params: impl IntoIterator<Item = &'a Param>,
        dtype: DType,
        mut arrays: IndexMap<String, Array>,
    ) -> Result<Self, StoreError> {
        let params: Vec<&Param> = params.into_iter().collect();
        known(arrays.keys().map(String::as_str), &params)?;
        let mut store = ParamStore::default();
        for param in params {
            let name = param.name.to_string();
            if store.arrays.contains_key(&param.name) {
                return Err(StoreError::Twice { name });
            }
            let Some(array) = arrays.swap_remove(&name) else {
                return Err(StoreError::Missing { name });
            };
            check_array(&name, &array, &param.shape, dtype)?;
            store.arrays.insert(param.name.clone(), array);
        }
        Ok(store)
    }

    /// Checks that the store holds exactly the parameters of a program.
    pub fn check(&self, program: &Program) -> Result<(), StoreError> {
        let params: Vec<&Param> = program.params.iter().map(|slot| &slot.param).collect();
        known(self.names(), &params)?;
        params.into_iter().try_for_each(|param| self.place(param, program.dtype).map(|_| ()))
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(|name| &**name)
    }

    /// The names and arrays, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Array)> {
        self.arrays.iter().map(|(name, array)| (&**name, array))
    }

    /// The number of arrays.
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    /// True where there is no array.
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }

    /// The array of a name.
    pub fn get(&self, name: &str) -> Result<&Array, StoreError> {
        self.arrays.get(name).ok_or_else(|| self.unknown(name))
    }

    /// The array of a name, whose elements can be changed in place.
    pub fn get_mut(&mut self, name: &str) -> Result<ArrayViewMut<'_>, StoreError> {
        match self.arrays.get_index_of(name) {
            #[allow(clippy::indexing_slicing, reason = "the place was just found")]
            Some(place) => {
                self.version = Version::default();
                Ok(self.arrays[place].view_mut())
            }
            None => Err(self.unknown(name)),
        }
    }

    /// Replaces an array by one of the same shape and element type.
    pub fn set(&mut self, name: &str, array: Array) -> Result<(), StoreError> {
        let old = self.get(name)?;
        check_array(name, &array, old.shape(), old.dtype())?;
        self.version = Version::default();
        self.arrays.insert(name.into(), array);
        Ok(())
    }

    /// Replaces many arrays, as the statistics that a call returned; all or, where one is wrong, none.
    pub fn apply(&mut self, arrays: IndexMap<Arc<str>, Array>) -> Result<(), StoreError> {
        for (name, array) in &arrays {
            let old = self.get(name)?;
            check_array(name, array, old.shape(), old.dtype())?;
        }
        self.version = Version::default();
        for (name, array) in arrays {
            self.arrays.insert(name, array);
        }
        Ok(())
    }

    /// The same with copies of the arrays: allocates nothing.
    pub fn apply_copies(&mut self, arrays: &IndexMap<Arc<str>, Array>) -> Result<(), StoreError> {
        for (name, array) in arrays {
            let old = self.get(name)?;
            check_array(name, array, old.shape(), old.dtype())?;
        }
        self.version = Version::default();
        for (name, array) in arrays {
            #[allow(clippy::indexing_slicing, reason = "all names were found above")]
            self.arrays[name].copy_from(array);
        }
        Ok(())
    }

    /// What stays as it is when elements change.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// What changes when elements do.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// The place of a model's parameter, which must have this shape and element type; it is the same in all stores of one
    /// layout.
    pub(crate) fn place(&self, param: &Param, dtype: DType) -> Result<usize, StoreError> {
        let found = self.arrays.get_full(&param.name);
        let (place, _, array) = found.ok_or_else(|| StoreError::Missing { name: param.name.to_string() })?;
        check_array(&param.name, array, &param.shape, dtype)?;
        Ok(place)
    }

    /// The array at a place, as [`place`](Self::place) gives it.
    #[allow(clippy::indexing_slicing, reason = "places are those of this layout")]
    pub(crate) fn at(&self, place: usize) -> &Array {
        &self.arrays[place]
    }

    fn unknown(&self, name: &str) -> StoreError {
        StoreError::Unknown { name: name.to_owned(), nearest: Nearest::of(name, self.names()) }
    }
}

/// Checks that all names are of the model.
fn known<'a>(mut names: impl Iterator<Item = &'a str>, params: &[&Param]) -> Result<(), StoreError> {
    let wanted: HashSet<&str> = params.iter().map(|param| &*param.name).collect();
    names.find(|name| !wanted.contains(name)).map_or(Ok(()), |name| {
        let nearest = Nearest::of(name, params.iter().map(|param| &*param.name));
        Err(StoreError::Unknown { name: name.to_owned(), nearest })
    })
}

fn check_array(name: &str, array: &Array, shape: &[usize], dtype: DType) -> Result<(), StoreError> {
    let (name, given) = (|| name.to_owned(), array.dtype());
    if given != dtype {
        return Err(StoreError::DType { name: name(), given, wanted: dtype });
    }
    if array.shape() != shape {
        return Err(StoreError::Shape { name: name(), given: array.shape().to_vec(), wanted: shape.to_vec() });
    }
    Ok(())
}

fn initial(param: &Param, dtype: DType, seed: u64) -> Result<Array, StoreError> {
    let too_large = || StoreError::TooLarge { name: param.name.to_string(), shape: param.shape.clone() };
    let n = elements(&param.shape).ok_or_else(too_large)?;
    let draws = draws(param, seed);
    let data = match dtype {
        DType::F32 => Data::F32(Aligned::first_of(n, draws.map(|x| x as f32)).ok_or_else(too_large)?),
        DType::F64 => Data::F64(Aligned::first_of(n, draws).ok_or_else(too_large)?),
        DType::I32 | DType::Bool => return Err(StoreError::NotFloat(dtype)),
    };
    Array::new(param.shape.clone(), data).map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use schur_ir::expr::Scalar;
    use schur_ir::graph::Init;

    use super::*;

    fn param(name: &str, shape: &[usize], init: Init) -> Param {
        Param { name: name.into(), shape: shape.to_vec(), init }
    }

    fn params() -> Vec<Param> {
        let one = Scalar(1.0);
        vec![
            param("params/mix/w", &[3, 4], Init::Normal { mean: Scalar(0.0), std: one }),
            param("params/mix/b", &[4], Init::Uniform { low: Scalar(-1.0), high: one }),
            param("params/mlp/kernel", &[2, 2], Init::TruncatedNormal { mean: Scalar(0.0), std: one }),
            param("batch_stats/norm/var", &[2], Init::Constant(one)),
        ]
    }

    fn store() -> ParamStore {
        ParamStore::init(&params(), DType::F32, 7).unwrap()
    }

    fn message<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
        result.unwrap_err().to_string()
    }

    /// A hash of all elements' bits.
    fn checksum(store: &ParamStore) -> u64 {
        let elements = store.iter().flat_map(|(_, array)| array.to_f64().into_iter());
        elements.fold(0xcbf2_9ce4_8422_2325, |h, x| (h ^ x.to_bits()).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn a_seed_gives_the_same_bits_everywhere() {
        let wide = ParamStore::init(&params(), DType::F64, 7).unwrap();
        assert_eq!((checksum(&store()), checksum(&wide)), (14324227330234939517, 10418270624826710858));
    }

    #[test]
    fn no_array_depends_on_the_others() {
        let reversed = ParamStore::init(params().iter().rev(), DType::F32, 7).unwrap();
        for (name, array) in store().iter() {
            assert_eq!(reversed.get(name).unwrap(), array);
        }
        assert_ne!(ParamStore::init(&params(), DType::F32, 8).unwrap(), store());
        assert_eq!(store().get("batch_stats/norm/var").unwrap().data(), &Data::F32(vec![1.0, 1.0].into()));
    }

    #[test]
    fn single_precision_is_the_rounded_double() {
        let wide = ParamStore::init(&params(), DType::F64, 7).unwrap();
        for (name, array) in store().iter() {
            assert_eq!(&Array::from_f64(&wide.get(name).unwrap().to_f64(), DType::F32), array);
        }
    }

    #[test]
    fn stores_that_cannot_be_made_are_errors() {
        let huge = [param("w", &[1 << 40, 1 << 20], Init::Constant(Scalar(0.0)))];
        assert_eq!(
            message(ParamStore::init(&huge, DType::F64, 0)),
            "the parameter `w` of shape [1099511627776, 1048576] does not fit in memory"
        );
        assert_eq!(message(ParamStore::init(&params(), DType::I32, 0)), "parameters are floats, not i32");
        let twice = [params(), params()].concat();
        assert_eq!(message(ParamStore::init(&twice, DType::F32, 0)), "the parameter `params/mix/w` stands there twice");
    }

    #[test]
    fn arrays_are_found_and_replaced_by_name() {
        let mut store = store();
        assert_eq!(
            message(store.get("params/mix/v")),
            "the model has no parameter `params/mix/v`; did you mean `params/mix/w`?"
        );
        assert_eq!(
            message(store.set("params/mix/b", Array::zeros([5], DType::F32).unwrap())),
            "the parameter `params/mix/b` has the shape [5] where [4] is wanted"
        );
        assert_eq!(
            message(store.set("params/mix/b", Array::zeros([4], DType::F64).unwrap())),
            "the parameter `params/mix/b` is f64 where f32 is wanted"
        );
        let zeros = Array::zeros([4], DType::F32).unwrap();
        store.set("params/mix/b", zeros.clone()).unwrap();
        assert_eq!(store.get("params/mix/b").unwrap(), &zeros);
        assert_eq!(store.get_mut("params/mix/b").unwrap().shape(), [4]);
        assert!(store.get_mut("x").is_err());
    }

    #[test]
    fn statistics_are_applied_all_or_none() {
        let mut store = store();
        let before = store.clone();
        let (good, bad) = (Array::zeros([2], DType::F32).unwrap(), Array::zeros([3], DType::F32).unwrap());
        let name: Arc<str> = "batch_stats/norm/var".into();
        let mixed = IndexMap::from([(name.clone(), good.clone()), ("params/mix/b".into(), bad)]);
        assert!(store.apply(mixed).is_err());
        assert_eq!(store, before);
        store.apply(IndexMap::from([(name.clone(), good.clone())])).unwrap();
        assert_eq!(store.get(&name).unwrap(), &good);
    }

    #[test]
    fn a_checkpoints_arrays_must_be_the_models() {
        let of = |change: fn(&mut IndexMap<String, Array>)| {
            let mut arrays = store().iter().map(|(n, a)| (n.to_owned(), a.clone())).collect();
            change(&mut arrays);
            arrays.reverse();
            ParamStore::from_arrays(&params(), DType::F32, arrays)
        };
        let same = of(|_| ()).unwrap();
        assert_eq!(same, store());
        assert!(same.names().eq(store().names()));
        let missing = of(|a| drop(a.shift_remove("params/mix/b")));
        assert_eq!(message(missing), "the parameter `params/mix/b` is missing");
        let renamed = of(|a| {
            let array = a.shift_remove("params/mix/b").unwrap();
            a.insert("params/mix/bias".into(), array);
        });
        assert_eq!(message(renamed), "the model has no parameter `params/mix/bias`; did you mean `params/mix/b`?");
        let wrong = of(|a| drop(a.insert("params/mix/b".into(), Array::zeros([4, 1], DType::F32).unwrap())));
        assert_eq!(message(wrong), "the parameter `params/mix/b` has the shape [4, 1] where [4] is wanted");
    }
}
