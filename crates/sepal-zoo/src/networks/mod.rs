//! Networks, a file per family; each reads like its paper's table.

pub mod deeplab;
pub mod densenet;
pub mod efficientnet_lite;
pub mod espnet;
pub mod inception_v3;
pub mod mobilenet_v1;
pub mod mobilenet_v2;
pub mod mobilenet_v3;
pub mod mobilenet_v4;
mod parts;
pub mod pydmobilenet;
pub mod resdsc;
pub mod resnet;
pub mod resnet_cifar;
pub mod wrn;
pub mod xception;
pub mod xception_aligned;
