//! Puts the UI, as `npm run build` leaves it in `web/dist`, into the program.
//!
//! Every file becomes an `include_bytes!` beside the compressed copies that the UI's build made of it: nothing is
//! compressed here, no crate is needed, and a build without npm works too; its program says that it has no UI.

#![expect(clippy::disallowed_methods, reason = "a build script: cargo says where it reads and writes")]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
};

/// A file that is served, and what it is called in `dist`.
#[derive(Default)]
struct Asset {
    plain: Option<PathBuf>,
    brotli: Option<PathBuf>,
    gzip: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let dist = root.join("web/dist");
    // The directory itself is always there: it is looked through for what changed.
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut assets = BTreeMap::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &dist, &mut assets)?;
    }
    let mut table = String::from("&[\n");
    for (name, asset) in &assets {
        // A compressed copy whose original is gone belongs to nothing.
        let Some(plain) = &asset.plain else { continue };
        let mut hash = DefaultHasher::new();
        fs::read(plain)?.hash(&mut hash);
        let (plain, tag) = (bytes(plain), hash.finish());
        let (brotli, gzip) = (include(asset.brotli.as_ref()), include(asset.gzip.as_ref()));
        writeln!(
            table,
            "Asset {{ path: {name:?}, tag: \"\\\"{tag:016x}\\\"\", plain: {plain}, brotli: {brotli}, gzip: {gzip} }},"
        )?;
    }
    table += "]\n";
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("web.rs"), table)?;
    Ok(())
}

/// Every file below `directory`, by its path from `dist`.
fn collect(dist: &Path, directory: &Path, assets: &mut BTreeMap<String, Asset>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(dist, &path, assets)?;
            continue;
        }
        let Some(name) = path.strip_prefix(dist).ok().and_then(Path::to_str) else { continue };
        if name.starts_with('.') {
            continue;
        }
        let (name, copy) = match name.rsplit_once('.') {
            Some((name, "br")) => (name.to_owned(), Copy::Brotli),
            Some((name, "gz")) => (name.to_owned(), Copy::Gzip),
            _ => (name.to_owned(), Copy::None),
        };
        let asset = assets.entry(name).or_default();
        match copy {
            Copy::None => asset.plain = Some(path),
            Copy::Brotli => asset.brotli = Some(path),
            Copy::Gzip => asset.gzip = Some(path),
        }
    }
    Ok(())
}

enum Copy {
    None,
    Brotli,
    Gzip,
}

/// The expression that has a file's bytes.
fn bytes(path: &Path) -> String {
    format!("include_bytes!({:?})", path.to_string_lossy())
}

/// The same for one that may not be there.
fn include(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| "None".to_owned(), |path| format!("Some({})", bytes(path)))
}
