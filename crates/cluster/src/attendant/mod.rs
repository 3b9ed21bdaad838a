//! The attendant.

pub(crate) const ATTENDANT_ROLE: &str = "attendant";

pub(crate) fn play(_role: phalanx_process::TakenRole) -> ! {
    std::process::exit(1)
}
