//! A small disk for tests that fill it. Needs root, like the worker.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// A tmpfs that is mounted until this is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts `kib` KiB at `path`.
    pub fn mount(path: &Path, kib: u32) -> Self {
        std::fs::create_dir_all(path).expect("a directory to mount on");
        let options = format!("size={kib}k,mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "clawdeploy-test"]).arg(path);
        let status = mount.status().expect("mount");
        assert!(status.success(), "mount failed; these tests need root");
        Self { path: path.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Uses up the free space.
    pub fn fill(&self) {
        let mut file = File::create(self.path.join(".filler")).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Frees what [`Self::fill`] used.
    pub fn free(&self) {
        std::fs::remove_file(self.path.join(".filler")).expect("the filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because processes may still use it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
