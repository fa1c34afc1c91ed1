//! Schur compiles a model spec of E(3)-equivariant layers into fused native kernels.
