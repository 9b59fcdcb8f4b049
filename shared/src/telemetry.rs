//! Log lines: a self-contained sentence with fields. No secret is ever a field, and [`mask`] is the safety net for that
//! rule.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::mask::Masked;
use crate::config::{LogArgs, LogFormat};

mod mask;

/// Starts logging to standard error. Call it once, in `main`.
pub fn init(args: &LogArgs) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter: EnvFilter = EnvFilter::builder().parse(&args.log)?;
    let registry = tracing_subscriber::registry().with(filter);
    match args.log_format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry
                .with(fmt::layer().with_writer(Masked(std::io::stderr)).with_ansi(colours).with_target(false))
                .init();
        }
        LogFormat::Json => {
            registry.with(fmt::layer().with_writer(Masked(std::io::stderr)).json().flatten_event(true)).init();
        }
    }
    Ok(())
}

/// An error and its sources on one line: `outer: middle: inner`.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
