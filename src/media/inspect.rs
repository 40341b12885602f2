//! Looks at a file that is whole on the disk, before it is put on the shelf: its type by its bytes, a scanner's word, and a
//! picture's metadata, which is taken out. The same for files that come in and for files that go out.

use super::{
    fetch::Failing,
    kind, metadata,
    scanner::{Scanner, Verdict},
    shelf::{Shelf, draft::Whole},
};
use crate::{
    clock,
    complaint::{Exif, RejectReason, Scan, ScanResult},
    units::Size,
};

/// What every file is looked at with.
#[derive(Clone, Debug)]
pub struct Inspector {
    pub shelf: Shelf,
    /// Types by the bytes: `application/pdf`, `image/*`.
    pub types: Vec<String>,
    pub scanner: Option<Scanner>,
    /// Below it nothing is taken.
    pub free_space: Size,
}

/// What was found.
#[derive(Debug)]
pub struct Inspected {
    /// None for an empty file.
    pub kind: Option<&'static str>,
    pub scan: Option<Scan>,
    pub fate: Fate,
}

/// What becomes of the file.
#[derive(Debug)]
pub enum Fate {
    Good { whole: Whole, exif: Option<Exif> },
    Bad { size: u64, sha256: String, reason: RejectReason },
}

impl Inspector {
    /// Is there room, and is the scanner there? The error is for operators.
    pub async fn ready(&self) -> Result<(), String> {
        let free = self.shelf.free().map_err(|error| format!("the folder of the files: {error}"))?;
        if free < self.free_space {
            return Err(format!("less than {} is free on the disk of the files", self.free_space));
        }
        match &self.scanner {
            Some(scanner) => scanner.ping().await,
            None => Ok(()),
        }
    }

    pub async fn inspect(&self, whole: Whole) -> Result<Inspected, Failing> {
        if whole.size == 0 {
            return Ok(bad(None, None, whole, RejectReason::Empty));
        }
        let kind = kind::sniff(&whole.head);
        if !kind::is_allowed(kind, &self.types) {
            return Ok(bad(Some(kind), None, whole, RejectReason::TypeNotAllowed));
        }
        let scan = self.scan(&whole).await?;
        if scan.result == ScanResult::Infected {
            return Ok(bad(Some(kind), Some(scan), whole, RejectReason::Malware));
        }
        let (whole, exif) = self.cleaned(kind, whole).await?;
        Ok(Inspected { kind: Some(kind), scan: Some(scan), fate: Fate::Good { whole, exif } })
    }

    async fn scan(&self, whole: &Whole) -> Result<Scan, Failing> {
        let Some(scanner) = &self.scanner else {
            return Ok(Scan { engine: None, result: ScanResult::NotScanned, at: None });
        };
        let result = match scanner.scan(&whole.path.0).await.map_err(Failing::Ours)? {
            Verdict::Clean => ScanResult::Clean,
            Verdict::Infected => ScanResult::Infected,
        };
        Ok(Scan { engine: Some("clamd".to_owned()), result, at: Some(clock::now().to_string()) })
    }

    /// The picture without what it says of its maker. A picture that cannot be read is not given out: what is in it is not
    /// known.
    async fn cleaned(&self, kind: &'static str, whole: Whole) -> Result<(Whole, Option<Exif>), Failing> {
        if !metadata::is_cleaned(kind) {
            return Ok((whole, None));
        }
        let ours = |error: std::io::Error| Failing::Ours(error.to_string());
        // What is cut out is never more than what was there; a WebP gains a byte of padding.
        let (mut draft, scrap) = self.shelf.draft(Size::bytes(whole.size + 16)).map_err(ours)?;
        let source = self.shelf.scrap();
        let (from, to) = (whole.path.0.clone(), source.0.clone());
        let cleaned = tokio::task::spawn_blocking(move || metadata::clean_file(kind, &from, &to)).await;
        let exif = cleaned.map_err(|_| Failing::again("the picture could not be taken apart"))?.map_err(ours)?;
        // Reading it back gives size and hash of what is stored, and of nothing else.
        let mut file = tokio::fs::File::open(&source.0).await.map_err(ours)?;
        let mut piece = vec![0; 64 << 10];
        loop {
            let length = tokio::io::AsyncReadExt::read(&mut file, &mut piece).await.map_err(ours)?;
            if length == 0 {
                break;
            }
            draft.write(&piece[..length]).await?;
        }
        let whole = draft.finish(scrap).await.map_err(ours)?;
        Ok((whole, Some(exif)))
    }
}

/// The file itself goes with `whole`.
fn bad(kind: Option<&'static str>, scan: Option<Scan>, whole: Whole, reason: RejectReason) -> Inspected {
    Inspected { kind, scan, fate: Fate::Bad { size: whole.size, sha256: whole.sha256, reason } }
}
