//! What the dialects of delivery share.
//!
//! Between the engine and a dialect: [`apply`] carries out plans and knows what would change nothing ([`memory`]),
//! [`world`] shows a fetched tree to a renderer and notes what it looked at, [`watches`] wakes units when a working
//! copy is edited, [`status`] makes small patches, [`connect`] reaches other clusters, [`protect`] holds deletions back, [`ownership`] moves fields from one
//! manager to another, [`adoption`] takes over what other tools brought, [`standin`] knows the objects that would install what this
//! program embodies, [`doors`] listens for webhooks,
//! [`images`] names images as registries do, [`nats`] publishes to a message bus. Nothing here speaks a dialect's words.

pub mod adoption;
pub mod apply;
pub mod connect;
pub mod doors;
pub mod fields;
pub mod images;
pub mod memory;
pub mod nats;
pub mod ownership;
pub mod protect;
pub mod remotes;
pub mod standin;
pub mod status;
pub mod watches;
pub mod world;
