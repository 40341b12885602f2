//! EXIF (CIPA DC-008), as far as it is used: where and when a picture was taken, and which way up it is.

use jiff::civil::DateTime;

use crate::complaint::Geometry;

/// Entries of a directory that are looked at; cameras write some fifty.
const ENTRIES: u16 = 512;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub is_read: bool,
    pub captured_at: Option<String>,
    pub geometry: Option<Geometry>,
    /// 2 to 8; absent where the picture is the right way up.
    pub orientation: Option<u8>,
}

/// A TIFF structure with its byte order.
#[derive(Clone, Copy)]
struct Tiff<'a> {
    data: &'a [u8],
    is_little: bool,
}

/// One entry of a directory: how many values, and where they stand.
#[derive(Clone, Copy)]
struct Entry {
    kind: u16,
    count: u32,
    /// Of the value, or of its offset.
    at: usize,
}

impl<'a> Tiff<'a> {
    fn new(data: &'a [u8]) -> Option<Self> {
        let is_little = match data.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Self { data, is_little })
    }

    fn short(self, at: usize) -> Option<u16> {
        let bytes = self.data.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(self, at: usize) -> Option<u32> {
        let bytes = self.data.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn offset(self, at: usize) -> Option<usize> {
        usize::try_from(self.long(at)?).ok()
    }

    fn find(self, directory: usize, tag: u16) -> Option<Entry> {
        let count = self.short(directory)?.min(ENTRIES);
        let mut places = (0..usize::from(count)).map(|number| directory + 2 + number * 12);
        let at = places.find(|at| self.short(*at) == Some(tag))?;
        Some(Entry { kind: self.short(at + 2)?, count: self.long(at + 4)?, at: at + 8 })
    }

    fn text(self, entry: Entry) -> Option<&'a [u8]> {
        let count = usize::try_from(entry.count).ok().filter(|_| entry.kind == 2)?;
        let at = if count <= 4 { entry.at } else { self.offset(entry.at)? };
        self.data.get(at..at.checked_add(count)?)
    }

    /// Degrees, minutes and seconds.
    fn degrees(self, directory: usize, tag: u16, negative: u8) -> Option<f64> {
        let side = self.text(self.find(directory, tag)?)?.first()?.to_ascii_uppercase();
        let entry = self.find(directory, tag + 1).filter(|entry| entry.kind == 5 && entry.count == 3)?;
        let at = self.offset(entry.at)?;
        let mut degrees = 0.0;
        for (number, unit) in [1.0, 60.0, 3600.0].into_iter().enumerate() {
            let at = at.checked_add(number * 8)?;
            let (over, under) = (self.long(at)?, self.long(at.checked_add(4)?)?);
            // A camera without seconds writes 0/0.
            if under == 0 && over != 0 {
                return None;
            }
            degrees += f64::from(over) / f64::from(under.max(1)) / unit;
        }
        Some(if side == negative { -degrees } else { degrees })
    }

    fn place(self, directory: usize) -> Option<Geometry> {
        let (lat, lon) = (self.degrees(directory, 1, b'S')?, self.degrees(directory, 3, b'W')?);
        // 0, 0 is in the sea: a camera that did not know where it was.
        let is_place = lat.abs() <= 90.0 && lon.abs() <= 180.0 && !(lat == 0.0 && lon == 0.0);
        is_place.then_some(Geometry::Point { coordinates: [lon, lat] })
    }

    fn time(self, directory: usize) -> Option<String> {
        let text = self.text(self.find(directory, 0x9003)?)?;
        let text = std::str::from_utf8(text.get(..19)?).ok()?;
        let time = DateTime::strptime("%Y:%m:%d %H:%M:%S", text).ok()?;
        Some(time.strftime("%Y-%m-%dT%H:%M:%S").to_string())
    }
}

/// Reads what there is; damaged data tell nothing.
pub(super) fn read(data: &[u8]) -> Told {
    let mut told = Told { is_read: true, ..Told::default() };
    let Some(tiff) = Tiff::new(data) else { return told };
    let Some(first) = tiff.offset(4) else { return told };
    let below = |tag| tiff.find(first, tag).filter(|entry| entry.kind == 4).and_then(|entry| tiff.offset(entry.at));
    told.geometry = below(0x8825).and_then(|gps| tiff.place(gps));
    told.captured_at = below(0x8769).and_then(|exif| tiff.time(exif));
    let orientation = tiff.find(first, 0x0112).filter(|entry| entry.kind == 3).and_then(|entry| tiff.short(entry.at));
    told.orientation = orientation.and_then(|turn| u8::try_from(turn).ok()).filter(|turn| (2..=8).contains(turn));
    told
}
