//! Pictures of every kind come out of a process in the strictest sandbox as they come out of this one: no decoder or encoder
//! needs a call that is denied there. Real processes; no test harness, because a role needs `init` before any thread starts.
#![allow(clippy::unwrap_used)]

mod pictures;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use phalanx_image::{Output, Size, Transform};
use phalanx_process::{ExitStatus, Process, Role, Sandbox, confinement, take_role};
use pictures::zoo::zoo;
use pictures::{as_jpeg, as_png, as_webp, convert};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;

/// The outputs that are asked for of each picture.
fn outputs() -> Vec<Output> {
    let mut outputs = vec![as_jpeg(80), as_png()];
    if cfg!(feature = "webp-encode") {
        outputs.push(as_webp(80));
    }
    outputs
}

fn transforms() -> Vec<Transform> {
    outputs().into_iter().map(|output| Transform::default().size(Size::width(30)).output(output)).collect()
}

fn main() {
    phalanx_process::init().expect("init");
    if let Some(mut role) = take_role("decoder") {
        return decode(role.take("input").unwrap().into(), role.take("output").unwrap().into());
    }
    let mut files = zoo();
    files.push(("jpeg of 20 megapixels", phalanx_image::sample_jpeg(5472, 3648)));
    for (name, file) in files {
        let (input, output) = (memory_file(), memory_file());
        File::from(input.try_clone().unwrap()).write_all_at(&file, 0).unwrap();
        let decoder = Role::new("decoder")
            .env_clear()
            .descriptor("input", input.as_fd())
            .descriptor("output", output.as_fd())
            .sandbox(Sandbox::Full)
            .spawn()
            .unwrap();
        assert_eq!(wait(&decoder), ExitStatus::Code(0), "{name}");
        let mut came = all_of(&output.into());
        for transform in transforms() {
            let here = convert(&file, &transform).unwrap().bytes;
            let rest = came.split_off(here.len().min(came.len()));
            assert!(came == here, "{name}: another picture came out of the sandbox");
            came = rest;
        }
        assert!(came.is_empty(), "{name}: too many bytes");
        println!("test a sandboxed process reads {name} ... ok");
    }
}

/// The child: writes each output after the other.
fn decode(input: File, output: File) {
    assert!(confinement().level == Sandbox::Full);
    let picture = all_of(&input);
    let mut written = 0;
    for transform in transforms() {
        let converted = convert(&picture, &transform).unwrap().bytes;
        output.write_all_at(&converted, written).unwrap();
        written += converted.len() as u64;
    }
}

fn memory_file() -> OwnedFd {
    rustix::fs::memfd_create("picture", MemfdFlags::CLOEXEC).unwrap()
}

fn all_of(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; rustix::fs::fstat(file).unwrap().st_size as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn wait(child: &Process) -> ExitStatus {
    let deadline = Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(child, PollFlags::IN)], Some(&deadline)).unwrap(), 1, "it does not end");
    child.try_wait().unwrap().unwrap()
}
