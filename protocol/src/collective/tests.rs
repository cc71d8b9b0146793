//! Sessions that make and renew a collective key, honest and attacked ([CKG-1] … [CKG-7], KL-16 … KL-18).

mod exact;
mod hall;
mod reshare;
mod rounds;
mod sessions;
