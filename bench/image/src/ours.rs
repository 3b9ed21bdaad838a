//! Phalanx: a picture to a picture, and JPEG to planes.

use phalanx_image::jpeg::{Decoder, Scale};
use phalanx_image::{Jpeg, Limits, Output, Png, Scratch, Size, Transform, WebP, plan, probe, process};

use crate::To;
use crate::measure::Work;

/// sharp's default for JPEG and WebP.
const QUALITY: u8 = 80;

/// As a worker does it: the three steps, with the memory of the picture before.
pub(crate) struct Pipeline<'a> {
    pub(crate) source: &'a [u8],
    pub(crate) transform: Transform,
    pub(crate) scratch: Scratch,
    pub(crate) output: Vec<u8>,
    pub(crate) announced: Option<u64>,
}

impl<'a> Pipeline<'a> {
    pub(crate) fn new(source: &'a [u8], width: u32, to: To) -> Self {
        let output: Output = match to {
            To::Jpeg => Jpeg::quality(QUALITY).into(),
            To::Png => Png::new().into(),
            To::WebP => WebP::quality(QUALITY).into(),
        };
        let transform = Transform::default().size(Size::width(width)).output(output);
        Self { source, transform, scratch: Scratch::new(), output: Vec::new(), announced: None }
    }
}

impl Work for Pipeline<'_> {
    fn once(&mut self) -> Result<(), String> {
        let header = probe(self.source).map_err(|error| error.to_string())?;
        let plan = plan(&header, &self.transform, &Limits::default()).map_err(|error| error.to_string())?;
        self.announced = Some(plan.estimated_bytes);
        let picture = process(self.source, &plan, &mut self.scratch, &|| false).map_err(|error| error.to_string())?;
        self.output = picture.bytes;
        Ok(())
    }

    fn output(&self) -> &[u8] {
        &self.output
    }

    fn announced(&self) -> Option<u64> {
        self.announced
    }
}

/// The decoder alone: all components at one scale.
pub(crate) struct Planes<'a> {
    pub(crate) source: &'a [u8],
    pub(crate) scale: Scale,
    pub(crate) scratch: Scratch,
}

impl Work for Planes<'_> {
    fn once(&mut self) -> Result<(), String> {
        let decoder = Decoder::new(self.source).map_err(|error| error.to_string())?.scale(self.scale);
        let planes = decoder.decode(&mut self.scratch).map_err(|error| error.to_string())?;
        planes.give_back(&mut self.scratch);
        Ok(())
    }

    fn announced(&self) -> Option<u64> {
        Some(Decoder::new(self.source).ok()?.scale(self.scale).announced_bytes())
    }
}
