//! How work is cut before it begins.

mod estimate;
mod part;
mod upload;

pub use estimate::Estimate;
pub use part::{PartPlan, PartPlanError};
pub use upload::{PartMark, RANGED_PARTS_MAX, UploadMark, UploadPlan};
