//! What people see at an instance's address while its gateway does not answer. nginx asks for it, whatever was asked of
//! nginx; it is no part of the API's document.

pub mod instance;
