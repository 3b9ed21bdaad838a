//! The allocator's own profiler (`prof.*` of jemalloc), and all that is unsafe about it.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::ptr;

use rustix::fs::{MemfdFlags, memfd_create};

use super::dump::Dump;
use super::{Error, HeapProfile};

/// What the allocator is told when the program is linked: be ready to sample, do not yet, and then one allocation in 2^19 bytes.
/// `MALLOC_CONF` in the environment says it last.
const OPTIONS: &CStr = c"prof:true,prof_active:false,lg_prof_sample:19";
/// log2 of the bytes between two samples, as in [`OPTIONS`].
const SAMPLE_INTERVAL: usize = 19;
/// Most bytes of a dump: a million stacks are no profile that anybody reads.
const MOST_BYTES: u64 = 256 << 20;

/// A string for C.
#[repr(transparent)]
pub(super) struct Options(*const c_char);

// SAFETY: it points to a constant.
unsafe impl Sync for Options {}

/// Where the allocator looks for its options before its first allocation.
// SAFETY: the name belongs to jemalloc, which declares it for exactly this use, as a pointer to a constant string.
#[cfg_attr(not(target_env = "musl"), unsafe(export_name = "malloc_conf"))]
#[cfg_attr(target_env = "musl", unsafe(export_name = "_rjem_malloc_conf"))]
pub(super) static ALLOCATOR_OPTIONS: Options = Options(OPTIONS.as_ptr());

pub(super) fn availability() -> Result<(), Error> {
    // Whoever asks links the options.
    std::hint::black_box(&ALLOCATOR_OPTIONS);
    match read_flag(c"opt.prof") {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Disabled),
        Err(_) => Err(Error::Unavailable),
    }
}

pub(super) fn is_on() -> bool {
    read_flag(c"prof.active").unwrap_or(false)
}

pub(super) fn start() -> Result<(), Error> {
    let mut on = true;
    control(c"prof.active", &mut on).map_err(failed("begin to sample the heap"))
}

pub(super) fn stop() -> Result<(), Error> {
    let (mut on, mut interval) = (false, SAMPLE_INTERVAL);
    control(c"prof.active", &mut on).map_err(failed("stop sampling the heap"))?;
    control(c"prof.reset", &mut interval).map_err(failed("forget the samples of the heap"))
}

pub(super) fn take() -> Result<HeapProfile, Error> {
    let what = "write down the samples of the heap";
    let text = dump().map_err(failed(what))?;
    let dump = Dump::parse(&text).ok_or_else(|| failed(what)(io::ErrorKind::InvalidData.into()))?;
    Ok(HeapProfile::of(dump))
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Failed { what, source }
}

/// The allocator knows files by their names only.
fn dump() -> io::Result<String> {
    let mut file = File::from(memfd_create("phalanx-heap", MemfdFlags::CLOEXEC)?);
    let name = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let mut pointer = name.as_ptr();
    control(c"prof.dump", &mut pointer)?;
    if file.metadata()?.len() > MOST_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn read_flag(name: &CStr) -> io::Result<bool> {
    let mut flag = 0_u8;
    let mut size = size_of::<u8>();
    // SAFETY: both names that are read with this give a C bool, which is one byte; `size` says how much room there is, and the
    // allocator fails without writing if it does not fit. Any byte is a valid u8.
    let code = unsafe {
        let old = ptr::from_mut(&mut flag).cast::<c_void>();
        tikv_jemalloc_sys::mallctl(name.as_ptr(), old, &mut size, ptr::null_mut(), 0)
    };
    check(code).map(|()| flag != 0)
}

/// Sets what has this name. The types of the values are those of the callers above: bool, size_t, and a string that outlives
/// the call; the allocator compares the size before it reads.
fn control<T>(name: &CStr, value: &mut T) -> io::Result<()> {
    // SAFETY: `value` is valid for reads of its size during the call, and the allocator keeps no pointer to it.
    let code = unsafe {
        let new = ptr::from_mut(value).cast::<c_void>();
        tikv_jemalloc_sys::mallctl(name.as_ptr(), ptr::null_mut(), ptr::null_mut(), new, size_of::<T>())
    };
    check(code)
}

fn check(code: i32) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
