//! Expressions inside of expressions: shared, and handled without recursion where depth must not matter.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::{discriminant, replace};
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

use super::Expr;

/// An expression that another one is made of.
#[derive(Clone)]
pub struct Part(Arc<Expr>);

impl From<Expr> for Part {
    fn from(expr: Expr) -> Self {
        Part(Arc::new(expr))
    }
}

impl Part {
    /// Takes the expression out, where this is its last owner and it has parts; something without parts takes its place.
    fn take(&mut self) -> Option<Expr> {
        let expr = Arc::get_mut(&mut self.0)?;
        let [first, ..] = expr.parts();
        first.is_some().then(|| replace(expr, Expr::Arg(0)))
    }
}

impl Deref for Part {
    type Target = Expr;

    fn deref(&self) -> &Expr {
        &self.0
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Parts of parts are dropped here, one after the other: one inside the other they could take more stack than there is.
impl Drop for Part {
    fn drop(&mut self) {
        let mut open: Vec<Expr> = self.take().into_iter().collect();
        while let Some(mut expr) = open.pop() {
            match &mut expr {
                Expr::Arg(_) | Expr::Const(_) => {}
                Expr::Unary(_, x) => open.extend(x.take()),
                Expr::Binary(_, a, b) => open.extend([a, b].into_iter().filter_map(Part::take)),
                Expr::Select(c, a, b) => open.extend([c, a, b].into_iter().filter_map(Part::take)),
            }
        }
    }
}

impl Expr {
    /// The expressions that this one is made of, in order.
    fn parts(&self) -> [Option<&Expr>; 3] {
        match self {
            Expr::Arg(_) | Expr::Const(_) => [None; 3],
            Expr::Unary(_, x) => [Some(x), None, None],
            Expr::Binary(_, a, b) => [Some(a), Some(b), None],
            Expr::Select(c, a, b) => [Some(c), Some(a), Some(b)],
        }
    }

    /// The order of two expressions without their parts: kinds as they are declared, then what they hold.
    fn compare_heads(&self, other: &Expr) -> Ordering {
        let kind = |expr: &Expr| match expr {
            Expr::Arg(_) => 0,
            Expr::Const(_) => 1,
            Expr::Unary(..) => 2,
            Expr::Binary(..) => 3,
            Expr::Select(..) => 4,
        };
        match (self, other) {
            (Expr::Arg(a), Expr::Arg(b)) => a.cmp(b),
            (Expr::Const(a), Expr::Const(b)) => a.cmp(b),
            (Expr::Unary(a, _), Expr::Unary(b, _)) => a.cmp(b),
            (Expr::Binary(a, ..), Expr::Binary(b, ..)) => a.cmp(b),
            (Expr::Arg(_) | Expr::Const(_) | Expr::Unary(..) | Expr::Binary(..) | Expr::Select(..), _) => {
                kind(self).cmp(&kind(other))
            }
        }
    }
}

impl Ord for Expr {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut open, mut next) = (Vec::new(), Some((self, other)));
        while let Some((a, b)) = next {
            if !ptr::eq(a, b) {
                let order = a.compare_heads(b);
                if order.is_ne() {
                    return order;
                }
                let pairs = a.parts().into_iter().zip(b.parts()).rev();
                open.extend(pairs.filter_map(|(a, b)| a.zip(b)));
            }
            next = open.pop();
        }
        Ordering::Equal
    }
}

impl PartialOrd for Expr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Expr {}

impl Hash for Expr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (mut open, mut next) = (Vec::new(), Some(self));
        while let Some(expr) = next {
            discriminant(expr).hash(state);
            match expr {
                Expr::Arg(k) => k.hash(state),
                Expr::Const(c) => c.hash(state),
                Expr::Unary(op, _) => op.hash(state),
                Expr::Binary(op, ..) => op.hash(state),
                Expr::Select(..) => {}
            }
            open.extend(expr.parts().into_iter().rev().flatten());
            next = open.pop();
        }
    }
}
