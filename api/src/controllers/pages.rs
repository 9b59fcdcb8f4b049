//! Pages at an instance's address while its gateway does not answer. nginx requests them for any path at that address.
//! They are not in the OpenAPI document.

pub mod hold;
pub mod instance;
