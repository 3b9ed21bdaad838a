//! [`admit`]: queued pictures within the budget. They run where the pictures of requests run, beside them.

use super::{Reserved, SharedBudget};
use crate::tasks::QueuedPicture;
use crate::work::charge_of;
use phalanx::Task;
use phalanx::image::{plan, probe};
use phalanx::task::Packed;

/// There is no memory for it now.
#[derive(Debug)]
pub(crate) struct NoRoom;

/// Memory for a queued task of this name and input until it has ended, or that there is none now. A task that is no picture, or
/// none that can be made, needs nothing worth mentioning; one that needs all of the budget and more gets all of it.
pub(crate) fn admit(budget: &SharedBudget, name: &str, input: &Packed) -> Result<Option<Reserved>, NoRoom> {
    if name != QueuedPicture::NAME {
        return Ok(None);
    }
    let Ok(QueuedPicture { picture, .. }) = input.clone().unpack() else { return Ok(None) };
    let planned = probe(&picture.source).and_then(|header| plan(&header, &picture.transform, &picture.limits));
    let Ok(plan) = planned else { return Ok(None) };
    let body = picture.source.len() as u64;
    let bytes = body.saturating_add(charge_of(&plan, body)).min(budget.limit());
    budget.try_reserve(bytes).map(Some).map_err(|_| NoRoom)
}

#[cfg(test)]
mod tests {
    use super::super::budget::tests::Pages;
    use super::*;
    use crate::tasks::{MakePicture, PictureForm};
    use phalanx::image::{Limits, Transform, sample_jpeg};

    #[test]
    fn a_queued_picture_is_charged_until_it_has_ended_and_waits_while_there_is_no_room() {
        let source = sample_jpeg(640, 480);
        let picture = MakePicture { source: source.into(), transform: Transform::default(), limits: Limits::default() };
        let input = Packed::of(&QueuedPicture { picture, form: PictureForm::Stored }).unwrap();
        let budget = SharedBudget::on(Pages::alone(), 64 << 20);
        let charged = admit(&budget, QueuedPicture::NAME, &input).unwrap().unwrap();
        assert!(charged.bytes() > 1 << 20 && budget.reserved() == charged.bytes());
        let rest = budget.try_reserve((64 << 20) - charged.bytes()).unwrap();
        assert!(admit(&budget, QueuedPicture::NAME, &input).is_err());
        drop((charged, rest));
        assert!(admit(&budget, "heavy-work", &input).unwrap().is_none());
        // One that never fits is not sent round for ever.
        let small = SharedBudget::on(Pages::alone(), 1 << 10);
        assert_eq!(admit(&small, QueuedPicture::NAME, &input).unwrap().unwrap().bytes(), 1 << 10);
    }
}
