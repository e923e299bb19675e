//! Folders that were read, kept for as long as a [`super::Source`] is open.
//!
//! A repository of hundreds of models has folders of hundreds of entries, and finding each model leads through them.
//! libgit2 keeps no folder of that size: it would inflate and hash the same one again and again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use git2::{Oid, Tree};

/// Most entries that are kept, over all folders.
const MAX_ENTRIES: usize = 100_000;

/// The entries of one folder, by name: file mode and id. Names that are not UTF-8 are left out; no path can name them.
pub(super) type Listing = HashMap<String, (i32, Oid)>;

/// Folders that were read.
#[derive(Default)]
pub(super) struct Folders(RefCell<Kept>);

#[derive(Default)]
struct Kept {
    folders: HashMap<Oid, Arc<Listing>>,
    entries: usize,
}

impl Folders {
    /// The entries of the folder `id`, read with `read` unless they are kept.
    pub(super) fn listing<'r, E>(
        &self,
        id: Oid,
        read: impl FnOnce() -> Result<Tree<'r>, E>,
    ) -> Result<Arc<Listing>, E> {
        if let Some(known) = self.0.borrow().folders.get(&id) {
            return Ok(Arc::clone(known));
        }
        let tree = read()?;
        let named =
            |entry: git2::TreeEntry<'_>| Some((entry.name().ok()?.to_owned(), (entry.filemode_raw(), entry.id())));
        let listing: Arc<Listing> = Arc::new(tree.iter().filter_map(named).collect());
        let mut kept = self.0.borrow_mut();
        if kept.entries + listing.len() > MAX_ENTRIES {
            *kept = Kept::default();
        }
        kept.entries += listing.len();
        kept.folders.insert(id, Arc::clone(&listing));
        Ok(listing)
    }
}
