//! Parses JSON5 as OpenClaw does, and edits such a text without changing the rest of it.
//!
//! No crate does both. The syntax trees that preserve the text do not cover all of JSON5: `jsonc-parser` rejects a byte
//! order mark and `'\"'`, and `json-five` writes `NaN` back as `Nan`. So the crate `json5`, which follows the
//! specification, decides what is legal and which values a text holds. [`syntax`] only finds their positions in an
//! accepted text, and the result of [`edit`] is parsed again and compared with the expected values. So a mistake of
//! ours fails the edit and never reaches a file.

pub mod edit;
mod syntax;
mod tree;

pub use edit::{EditError, Patch};
pub use tree::{Tree, Unreadable, parse};

/// Whether a text is only white space.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(syntax::is_space)
}

#[cfg(test)]
mod tests;
