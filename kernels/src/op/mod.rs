//! Operations, each written once over the lanes of any ISA.

pub mod activation;
pub mod altup;
pub mod attention;
pub mod convolution;
pub mod cut_off;
pub mod delta;
pub mod elementary;
pub mod hyper;
pub mod layer_norm;
pub mod matmul;
mod matmul_float;
pub mod norm;
pub mod pack;
pub mod pool;
pub mod quantize;
mod recurrence;
pub mod rope;
pub mod scan;
pub mod selective;
pub mod soft_cap;
pub mod wkv;
pub mod xielu;
