//! Who owns which parameter where one network serves several domains.

mod protocol;

pub use protocol::Protocol;
