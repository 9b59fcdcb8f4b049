//! JSON5 as OpenClaw reads it, and edits of such a text that leave the rest of it alone.
//!
//! No crate does both. The syntax trees that keep their text do not know all of JSON5: `jsonc-parser` refuses a byte order
//! mark and `'\"'`, and `json-five` writes `NaN` back as `Nan`. So the crate `json5`, which follows the specification,
//! decides what is legal and which values a text holds; [`syntax`] only finds where they are in a text that it has accepted;
//! and whatever [`edit`] has made of a text is read again and compared with what it should hold. A mistake of ours fails the
//! edit, and never reaches a file.

pub mod edit;
mod syntax;
mod tree;

pub use edit::{EditError, Patch};
pub use tree::{Tree, Unreadable, parse};

/// Whether there is nothing in a text but white space.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(syntax::is_space)
}

#[cfg(test)]
mod tests;
