//! Geometry alone: from the size of a source and the wished size to the exact rectangles. The rules are sharp's.

/// How the picture is fitted into the asked width and height; the words and rules are sharp's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Fit {
    /// Fill the whole box, keep the aspect ratio, cut off what hangs over (around the centre).
    Cover,
    /// Show the whole picture inside the box, keep the aspect ratio, fill the rest with the background.
    Contain,
    /// Fill the box exactly and ignore the aspect ratio.
    Fill,
    /// As large as possible with both sides no longer than asked; aspect ratio kept.
    #[default]
    Inside,
    /// As small as possible with both sides no shorter than asked; aspect ratio kept.
    Outside,
}

/// Whether a picture may become larger than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Enlarge {
    /// Never scale up (sharp's `withoutEnlargement`).
    #[default]
    Never,
    /// Scale up where the asked size needs it.
    Allow,
}

/// A rectangle in pixels of the source; fractions are meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// The result: `area` of the source is resized to `picture`, which is put at `offset` into `canvas`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    pub(crate) area: Area,
    pub(crate) picture: (u32, u32),
    pub(crate) canvas: (u32, u32),
    pub(crate) offset: (u32, u32),
}

/// Lays out a `source` (width, height; upright) for the asked sides; a side that is `None` follows the aspect ratio.
pub(crate) fn layout(source: (u32, u32), asked: (Option<u32>, Option<u32>), fit: Fit, enlarge: Enlarge) -> Layout {
    let (width, height) = (f64::from(source.0), f64::from(source.1));
    let (mut across, mut down) = match asked {
        (Some(w), Some(h)) => {
            let (across, down) = (width / f64::from(w), height / f64::from(h));
            match fit {
                Fit::Fill => (across, down),
                Fit::Cover | Fit::Outside => (across.min(down), across.min(down)),
                Fit::Contain | Fit::Inside => (across.max(down), across.max(down)),
            }
        }
        (Some(w), None) => (width / f64::from(w), if fit == Fit::Fill { 1.0 } else { width / f64::from(w) }),
        (None, Some(h)) => (if fit == Fit::Fill { 1.0 } else { height / f64::from(h) }, height / f64::from(h)),
        (None, None) => (1.0, 1.0),
    };
    if enlarge == Enlarge::Never {
        (across, down) = (across.max(1.0), down.max(1.0));
    }
    // No side may vanish.
    (across, down) = (across.min(width), down.min(height));
    let scaled = (side(width / across), side(height / down));

    let whole = Area { x: 0.0, y: 0.0, width, height };
    match (fit, asked) {
        (Fit::Cover, (Some(w), Some(h))) => {
            let kept = (scaled.0.min(w), scaled.1.min(h));
            // sharp rounds the centre up.
            let left = (scaled.0 - kept.0).div_ceil(2);
            let top = (scaled.1 - kept.1).div_ceil(2);
            let (unit_x, unit_y) = (width / f64::from(scaled.0), height / f64::from(scaled.1));
            let area = Area {
                x: f64::from(left) * unit_x,
                y: f64::from(top) * unit_y,
                width: f64::from(kept.0) * unit_x,
                height: f64::from(kept.1) * unit_y,
            };
            Layout { area, picture: kept, canvas: kept, offset: (0, 0) }
        }
        (Fit::Contain, (Some(w), Some(h))) => {
            let canvas = (scaled.0.max(w), scaled.1.max(h));
            let offset = ((canvas.0 - scaled.0) / 2, (canvas.1 - scaled.1) / 2);
            Layout { area: whole, picture: scaled, canvas, offset }
        }
        _ => Layout { area: whole, picture: scaled, canvas: scaled, offset: (0, 0) },
    }
}

/// Rounds half up as libvips does; at least 1 pixel.
fn side(length: f64) -> u32 {
    ((length + 0.5).floor() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = ((u32, u32), (Option<u32>, Option<u32>), Fit, Enlarge, (u32, u32), (u32, u32));

    /// source, asked, fit, enlarge → picture, canvas: worked out by hand from sharp's documented rules.
    const TABLE: &[Case] = &[
        // One side given: the other follows.
        ((4000, 3000), (Some(800), None), Fit::Inside, Enlarge::Never, (800, 600), (800, 600)),
        ((4000, 3000), (None, Some(600)), Fit::Cover, Enlarge::Never, (800, 600), (800, 600)),
        ((3000, 2000), (Some(800), None), Fit::Inside, Enlarge::Never, (800, 533), (800, 533)),
        ((1000, 667), (Some(800), None), Fit::Inside, Enlarge::Never, (800, 534), (800, 534)),
        // `fill` with one side leaves the other as it is.
        ((400, 300), (Some(200), None), Fit::Fill, Enlarge::Never, (200, 300), (200, 300)),
        ((400, 300), (None, Some(100)), Fit::Fill, Enlarge::Never, (400, 100), (400, 100)),
        // Both sides given.
        ((400, 200), (Some(100), Some(100)), Fit::Cover, Enlarge::Never, (100, 100), (100, 100)),
        ((400, 200), (Some(100), Some(100)), Fit::Contain, Enlarge::Never, (100, 50), (100, 100)),
        ((400, 200), (Some(100), Some(100)), Fit::Fill, Enlarge::Never, (100, 100), (100, 100)),
        ((400, 200), (Some(100), Some(100)), Fit::Inside, Enlarge::Never, (100, 50), (100, 50)),
        ((400, 200), (Some(100), Some(100)), Fit::Outside, Enlarge::Never, (200, 100), (200, 100)),
        ((200, 400), (Some(100), Some(100)), Fit::Inside, Enlarge::Never, (50, 100), (50, 100)),
        ((200, 400), (Some(100), Some(100)), Fit::Outside, Enlarge::Never, (100, 200), (100, 200)),
        // Smaller than asked, never enlarged.
        ((100, 50), (Some(800), None), Fit::Inside, Enlarge::Never, (100, 50), (100, 50)),
        ((100, 50), (Some(200), Some(200)), Fit::Cover, Enlarge::Never, (100, 50), (100, 50)),
        ((100, 50), (Some(200), Some(20)), Fit::Cover, Enlarge::Never, (100, 20), (100, 20)),
        ((100, 50), (Some(200), Some(200)), Fit::Contain, Enlarge::Never, (100, 50), (200, 200)),
        ((100, 50), (Some(200), Some(20)), Fit::Fill, Enlarge::Never, (100, 20), (100, 20)),
        ((100, 50), (Some(200), Some(200)), Fit::Inside, Enlarge::Never, (100, 50), (100, 50)),
        ((100, 50), (Some(200), Some(20)), Fit::Outside, Enlarge::Never, (100, 50), (100, 50)),
        // Smaller than asked, enlarged.
        ((100, 50), (Some(200), None), Fit::Inside, Enlarge::Allow, (200, 100), (200, 100)),
        ((100, 50), (Some(200), Some(200)), Fit::Cover, Enlarge::Allow, (200, 200), (200, 200)),
        ((100, 50), (Some(200), Some(200)), Fit::Contain, Enlarge::Allow, (200, 100), (200, 200)),
        ((100, 50), (Some(200), Some(200)), Fit::Fill, Enlarge::Allow, (200, 200), (200, 200)),
        ((100, 50), (Some(200), Some(200)), Fit::Inside, Enlarge::Allow, (200, 100), (200, 100)),
        ((100, 50), (Some(200), Some(200)), Fit::Outside, Enlarge::Allow, (400, 200), (400, 200)),
        // Nothing asked: as it is. No side vanishes.
        ((123, 45), (None, None), Fit::Cover, Enlarge::Never, (123, 45), (123, 45)),
        ((10_000, 2), (Some(100), None), Fit::Inside, Enlarge::Never, (100, 1), (100, 1)),
        ((1, 1), (Some(1), Some(1)), Fit::Cover, Enlarge::Allow, (1, 1), (1, 1)),
    ];

    #[test]
    fn every_fit_gives_the_sizes_of_sharp() {
        for &(source, asked, fit, enlarge, picture, canvas) in TABLE {
            let layout = layout(source, asked, fit, enlarge);
            assert_eq!((layout.picture, layout.canvas), (picture, canvas), "{source:?} {asked:?} {fit:?} {enlarge:?}");
        }
    }

    #[test]
    fn cover_keeps_the_middle_and_stays_inside_the_source() {
        let cut = layout((400, 200), (Some(100), Some(100)), Fit::Cover, Enlarge::Never);
        assert_eq!(cut.area, Area { x: 100.0, y: 0.0, width: 200.0, height: 200.0 });
        for (w, h) in [(401, 200), (33, 999), (7, 7)] {
            let a = layout((w, h), (Some(5), Some(6)), Fit::Cover, Enlarge::Never).area;
            assert!(a.x >= 0.0 && a.x + a.width <= f64::from(w) + 1e-6, "{a:?}");
            assert!(a.y >= 0.0 && a.y + a.height <= f64::from(h) + 1e-6, "{a:?}");
        }
    }

    #[test]
    fn contain_puts_the_picture_into_the_middle() {
        let boxed = layout((400, 200), (Some(100), Some(101)), Fit::Contain, Enlarge::Never);
        assert_eq!((boxed.picture, boxed.canvas, boxed.offset), ((100, 50), (100, 101), (0, 25)));
    }
}
