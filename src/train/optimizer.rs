//! Optimisers: what a step does to the parameters. The formulas are optax's.
//!
//! Arithmetic is in the model's element type, as optax's is; what is the same for all elements is computed in `f64`. Moments
//! go by the names of the parameters, with their shapes.

use std::sync::Arc;

use indexmap::IndexMap;
use schur_ir::expr::Scalar;
use schur_ir::graph::{Init, Param};
use schur_ir::ty::DType;
use schur_runtime::array::Array;
use schur_runtime::store::{ParamStore, StoreError};
use schur_runtime::view::Elements;

use super::update::{Adam, Arrays, Float, Sgd, sum_of_squares, update};

/// How gradients become changes of the parameters; `g` is a gradient, `p` its parameter, `t` the step, from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// `trace = g + momentum · trace`; `p −= rate · trace`.
    Sgd {
        /// How much of the last steps is kept; 0 for plain gradient descent.
        momentum: f64,
    },
    /// `mu = b1 mu + (1−b1) g`; `nu = b2 nu + (1−b2) g²`;
    /// `p −= rate · (mu/(1−b1ᵗ) / (√(nu/(1−b2ᵗ)) + eps) + weight_decay · p)`. With a decay it is AdamW.
    Adam {
        /// How much of the mean of gradients is kept.
        b1: f64,
        /// How much of the mean of their squares is kept.
        b2: f64,
        /// What keeps the quotient finite, outside the root.
        eps: f64,
        /// How fast parameters shrink, apart from the gradients.
        weight_decay: f64,
    },
}

impl Method {
    /// Adam with the constants of its authors.
    pub fn adam() -> Self {
        Method::adamw(0.0)
    }

    /// Adam with a decay of the parameters.
    pub fn adamw(weight_decay: f64) -> Self {
        Method::Adam { b1: 0.9, b2: 0.999, eps: 1e-8, weight_decay }
    }

    /// The names of its moments.
    fn moments(self) -> &'static [&'static str] {
        match self {
            Method::Sgd { .. } => &["trace"],
            Method::Adam { .. } => &["mu", "nu"],
        }
    }
}

/// A method with its moments.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    method: Method,
    dtype: DType,
    params: Vec<Param>,
    moments: IndexMap<&'static str, ParamStore>,
    threads: usize,
}

impl Optimizer {
    /// An optimiser of these parameters, on one thread; all moments are zero.
    pub fn new<'a>(
        method: Method,
        params: impl IntoIterator<Item = &'a Param>,
        dtype: DType,
    ) -> Result<Self, StoreError> {
        let zeros = |param: &Param| Param { init: Init::Constant(Scalar(0.0)), ..param.clone() };
        let params: Vec<Param> = params.into_iter().map(zeros).collect();
        let moment = |name: &&'static str| Ok((*name, ParamStore::init(&params, dtype, 0)?));
        let moments = method.moments().iter().map(moment).collect::<Result<_, StoreError>>()?;
        Ok(Optimizer { method, dtype, params, moments, threads: 1 })
    }

    /// Lets updates of large parameters use up to so many threads. They give the same bits for any number.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// The moments by name, each with an array for every parameter.
    pub fn moments(&self) -> impl Iterator<Item = (&'static str, &ParamStore)> {
        self.moments.iter().map(|(name, store)| (*name, store))
    }

    /// The same optimiser with other moments, which `take` gives by their names.
    pub fn with_moments(
        &self,
        mut take: impl FnMut(&'static str) -> IndexMap<String, Array>,
    ) -> Result<Self, StoreError> {
        let moment = |name: &&'static str| Ok((*name, ParamStore::from_arrays(&self.params, self.dtype, take(name))?));
        let moments = self.method.moments().iter().map(moment).collect::<Result<_, StoreError>>()?;
        Ok(Optimizer { moments, ..self.clone() })
    }

    /// Step `t`, counted from 1: changes the parameters by their gradients, each multiplied by `scale`.
    pub fn update(
        &mut self,
        params: &mut ParamStore,
        gradients: &IndexMap<Arc<str>, Array>,
        t: u64,
        rate: f64,
        scale: f64,
    ) -> Result<(), StoreError> {
        for (name, gradient) in gradients {
            match self.dtype {
                DType::F32 => self.update_as::<f32>(params, name, gradient, t, rate, scale)?,
                DType::F64 => self.update_as::<f64>(params, name, gradient, t, rate, scale)?,
                dtype @ (DType::I32 | DType::Bool) => return Err(StoreError::NotFloat(dtype)),
            }
        }
        Ok(())
    }

    fn update_as<T: Float>(
        &mut self,
        params: &mut ParamStore,
        name: &str,
        gradient: &Array,
        t: u64,
        rate: f64,
        scale: f64,
    ) -> Result<(), StoreError> {
        let wrong = |given| StoreError::DType { name: name.to_owned(), given, wanted: T::DTYPE };
        let g = T::slice(gradient.data()).ok_or_else(|| wrong(gradient.dtype()))?;
        let mut moments = self.moments.values_mut();
        let mut moment = || match moments.next() {
            Some(store) => Ok(T::slice_mut(store.get_mut(name)?.into_elements())),
            None => Ok::<_, StoreError>(None),
        };
        let moments = (moment()?, moment()?);
        let params = params.get_mut(name)?;
        if gradient.shape() != params.shape() {
            let (given, wanted) = (gradient.shape().to_vec(), params.shape().to_vec());
            return Err(StoreError::Shape { name: name.to_owned(), given, wanted });
        }
        let given = params.dtype();
        let p = T::slice_mut(params.into_elements()).ok_or_else(|| wrong(given))?;
        let [rate, scale] = [rate, scale].map(T::of);
        match (self.method, moments) {
            (Method::Sgd { momentum }, (Some(trace), None)) => {
                let momentum = T::of(momentum);
                update(Arrays { p, g, moments: [trace] }, Sgd { rate, scale, momentum }, self.threads);
            }
            (Method::Adam { b1, b2, eps, weight_decay }, (Some(mu), Some(nu))) => {
                let [eps, weight_decay] = [eps, weight_decay].map(T::of);
                let of_both = |f: &dyn Fn(f64) -> f64| [b1, b2].map(|b| T::of(f(b)));
                let [b, c, r] = [of_both(&|b| b), of_both(&|b| 1.0 - b), of_both(&|b| 1.0 / (1.0 - b.powf(t as f64)))];
                update(
                    Arrays { p, g, moments: [mu, nu] },
                    Adam { rate, scale, b, c, r, eps, weight_decay },
                    self.threads,
                );
            }
            (Method::Sgd { .. } | Method::Adam { .. }, _) => return Err(wrong(self.dtype)),
        }
        Ok(())
    }
}

/// The Euclidean norm of all gradients together.
pub fn norm(gradients: &IndexMap<Arc<str>, Array>) -> f64 {
    let squares = |array: &Array| match array.view().elements() {
        Elements::F32(elements) => sum_of_squares(elements),
        Elements::F64(elements) => sum_of_squares(elements),
        Elements::I32(_) | Elements::Bool(_) => 0.0,
    };
    gradients.values().map(squares).sum::<f64>().sqrt()
}
