//! A worker's hands at a large file: the beginning of its upload, a range of parts, the completion.

use s3bl_core::checksum::{Crc64Nvme, ETag};
use s3bl_core::path::RelPath;
use s3bl_core::plan::{PartMark, UploadPlan};
use s3bl_core::task::Class;
use s3bl_core::toc::TocEntry;
use s3bl_core::unit::ByteCount;
use s3bl_core::wire::{ResultBody, UploadStep, UploadWork};

use super::chance::SECOND;
use super::fault::Fault;
use super::lane::{Job, Step, TRIES_MAX};
use super::message;
use super::source::Version;
use super::store;
use super::world::World;

impl World {
    /// Begins an upload that others fill too.
    pub(crate) fn begin_upload(&mut self, entry: &TocEntry, version: &Version) -> Step {
        let mark = self.store.begin(&entry.path);
        if self.strikes(Fault::PutDoubtful) {
            // Begun, and nobody hears of it.
            return Step::Again(SECOND);
        }
        let size = ByteCount(version.content.len() as u64);
        let parts = version.content.len().div_ceil(message::PART) as u32;
        let part_size = ByteCount(message::PART as u64);
        let plan = UploadPlan { mark, size, mtime: version.mtime, part_size, parts };
        self.history.note(self.now, "begin upload", &[u64::from(parts)]);
        self.change_midway(&entry.path);
        Step::Answered(ResultBody::UploadPlanned(plan))
    }

    /// Goes on with a step of an upload.
    pub(crate) fn go_on_with_upload(
        &mut self,
        slot: usize,
        job: &mut Job,
        step: &UploadStep,
    ) -> Step {
        let UploadStep { plan, work } = step;
        let entry = job.entry().clone();
        let present = self.source.file(&entry.path).present().cloned();
        let Some(present) = present else {
            return self.break_off(plan, Class::Vanished);
        };
        if job.in_hand.is_none() {
            let size = ByteCount(present.content.len() as u64);
            if !plan.is_of(size, present.mtime) {
                return self.break_off(plan, Class::SourceChanged);
            }
            job.in_hand = Some(present.clone());
        }
        if self.now < self.store.denied_until {
            self.faults.count(Fault::StoreDenied);
            return Step::Denied;
        }
        if self.strikes(Fault::StoreFailed) || job.tries >= TRIES_MAX {
            return self.break_off(plan, Class::StoreFault);
        }
        if self.strikes(Fault::StoreThrottled) {
            job.tries += 1;
            return Step::Again(SECOND << job.tries);
        }
        match work {
            UploadWork::Send { first, last } => {
                self.send_part(slot, job, plan, (*first, *last), &present)
            }
            UploadWork::Complete { parts, crc64nvme, .. } => {
                self.complete(job, plan, (parts, *crc64nvme))
            }
        }
    }

    /// Sends the next part of a range, of whatever the file holds now; says so when all are sent, and the file is still the
    /// version that was opened.
    fn send_part(
        &mut self,
        slot: usize,
        job: &mut Job,
        plan: &UploadPlan,
        (first, last): (u32, u32),
        present: &Version,
    ) -> Step {
        let number = first + job.sent.len() as u32;
        if number > last {
            let opened = job.in_hand.as_ref().expect("it was opened");
            if !plan.is_of(ByteCount(present.content.len() as u64), present.mtime)
                || opened != present
            {
                return self.break_off(plan, Class::SourceChanged);
            }
            let (mark, parts) = (plan.mark.clone(), std::mem::take(&mut job.sent));
            self.change_midway(&job.entry().path);
            return Step::Answered(ResultBody::PartsStored { mark, parts });
        }
        let offset = (number as usize - 1) * message::PART;
        let end = (offset + message::PART).min(plan.size.0 as usize);
        if end > present.content.len() {
            return self.break_off(plan, Class::SourceChanged);
        }
        let content = present.content.slice(offset..end);
        let size = ByteCount(content.len() as u64);
        let (etag, crc64nvme) = (store::etag(&content), store::checksum(&content));
        if !self.store.put_part(&plan.mark, number, content) {
            return self.break_off(plan, Class::Refused);
        }
        self.history.note(self.now, "part", &[slot as u64, u64::from(number)]);
        job.sent.push(PartMark { number, size, etag, crc64nvme, retries: 0 });
        let pace = self.slots[slot].pace;
        Step::Again(pace + self.chance.below(pace))
    }

    fn complete(
        &mut self,
        job: &mut Job,
        plan: &UploadPlan,
        (parts, crc64nvme): (&[(ETag, Crc64Nvme)], Crc64Nvme),
    ) -> Step {
        let entry = job.entry().clone();
        let version = job.in_hand.clone().expect("it was opened");
        let is_completed = self.store.complete(&entry.path, &plan.mark, parts, crc64nvme);
        if is_completed && self.strikes(Fault::PutDoubtful) {
            job.tries += 1;
            return Step::Again(SECOND);
        }
        // The upload may be gone: completed by an attempt whose reply was lost, or by another worker.
        match self.store.get(&entry.path) {
            Some(content) if store::checksum(content) == crc64nvme => {
                let stored = Version { content: content.clone(), mtime: version.mtime };
                Step::Written(message::written(&entry, &stored, job.tries))
            }
            Some(_) | None => self.break_off(plan, Class::Refused),
        }
    }

    /// Somebody writes the file anew while some of it is sent, and nobody reads it just now.
    fn change_midway(&mut self, path: &RelPath) {
        if self.strikes(Fault::SourceChangedMidway) {
            let files = &mut self.source.files;
            let file = files.iter_mut().find(|file| file.path == *path);
            file.expect("a path of this source").change(self.now, &mut self.chance);
        }
    }

    fn break_off(&mut self, plan: &UploadPlan, class: Class) -> Step {
        self.store.uploads.remove(&plan.mark);
        Step::Written(message::failed(class))
    }
}
