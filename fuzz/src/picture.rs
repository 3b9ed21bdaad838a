//! Pictures: a wish of a few bytes, then the file.
//!
//! ```text
//!   input ──▶ Wish, file ──▶ probe ──▶ plan ──▶ process ──▶ a picture or an error
//!                             no bytes           never a panic; at most the bytes of the plan; the same again with used
//!                                                buffers; CPU time in proportion to bytes and pixels
//! ```

use std::cell::RefCell;
use std::num::NonZero;

use crate::counting::peak_of;
use crate::effort::Effort;
use phalanx_image::jpeg::Damage;
use phalanx_image::{
    Background, Enlarge, Error, Fit, Format, Jpeg, Limits, Output, Picture, Png, Rotate, Scratch, Size, Transform,
    Warning, plan, probe, process,
};

/// Small enough that an input takes milliseconds, large enough for several rows of everything.
pub const LIMITS: Limits = Limits {
    source_pixels: 1 << 18,
    source_side: 4096,
    output_pixels: 1 << 16,
    output_side: 2048,
    job_bytes: 24 << 20,
    decoder_bytes: 8 << 20,
    jpeg_scans: 40,
    threads: NonZero::<usize>::MIN,
};
/// Of a wish.
const WISH_BYTES: usize = 4;
/// Bytes that an error's text may take.
const TEXT_BYTES: u64 = 4096;

thread_local! {
    static USED: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// What is asked for, by four bytes.
pub fn wish(bytes: [u8; WISH_BYTES]) -> Transform {
    let [width, height, how, what] = bytes;
    let side = |byte: u8| (byte > 0).then(|| u32::from(byte) * 2);
    let fits = [Fit::Inside, Fit::Cover, Fit::Contain, Fit::Fill, Fit::Outside];
    let size = Size::sides(side(width), side(height), fits[usize::from(how & 7) % fits.len()]);
    let mut wish = Transform::default().size(size).enlarge(if how & 8 != 0 { Enlarge::Allow } else { Enlarge::Never });
    let turns = [Rotate::None, Rotate::Quarter, Rotate::Half, Rotate::ThreeQuarters];
    wish = wish.rotate(turns[usize::from(how >> 4 & 3)]);
    if how & 64 != 0 {
        wish = wish.flip();
    }
    if how & 128 != 0 {
        wish = wish.background(Background { red: 200, green: 100, blue: 50 });
    }
    let jpeg = Jpeg::quality(what % 100 + 1);
    if what & 127 > 110 {
        wish = wish.damage(Damage::Keep);
    }
    wish.output(match (what & 128 != 0, what & 127 > 120) {
        (true, false) => Output::from(Png::new()),
        (true, true) => Png::new().small().into(),
        (false, false) => jpeg.into(),
        (false, true) => jpeg.small().into(),
    })
}

/// An input with this wish.
pub fn write(wish: [u8; WISH_BYTES], file: &[u8]) -> Vec<u8> {
    [&wish, file].concat()
}

/// Makes the picture that the input asks for, if its file begins as one of this format.
pub fn make(input: &[u8], format: Format) {
    let Some((asked, file)) = input.split_first_chunk() else { return };
    if Format::sniff(file) != Some(format) {
        return;
    }
    let (probing, header) = peak_of(|| probe(file));
    assert!(probing <= TEXT_BYTES, "probing takes {probing} bytes");
    let Ok(header) = header else { return };
    let Ok(plan) = plan(&header, &wish(*asked), &LIMITS) else { return };
    let effort = Effort::begin();
    let (peak, made) = peak_of(|| process(file, &plan, &mut Scratch::new(), &|| false));
    effort.is_bounded(file.len(), header.pixels() + u64::from(plan.width) * u64::from(plan.height));
    assert!(peak <= plan.estimated_bytes, "{peak} bytes were taken, {} announced: {plan:?}", plan.estimated_bytes);
    if let Err(Error::Internal { what }) = &made {
        panic!("an internal fault: {what}");
    }
    let again = USED.with_borrow_mut(|used| process(file, &plan, used, &|| false));
    assert!(essence(&made) == essence(&again), "used buffers change the result: {plan:?}");
}

/// All but the times.
fn essence(made: &Result<Picture, Error>) -> Result<(&[u8], u32, u32, &[Warning]), &Error> {
    made.as_ref().map(|picture| (&*picture.bytes, picture.width, picture.height, &*picture.warnings))
}
