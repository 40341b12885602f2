//! What a picture says of whoever took it: read for the place and the time, and taken out of the copy that is given on
//! (`threats.md` D6). Only segments and chunks are looked at; no picture is decoded.
//!
//! A picture that breaks the format is cut off where it does: what cannot be read is not passed on.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use crate::complaint::Exif;

mod tiff;

use tiff::Told;

/// Longest metadata that is read; longer ones are taken out unread.
const LONGEST: u64 = 64 << 10;

/// Is there something to be taken out of files of this type?
pub fn is_cleaned(kind: &str) -> bool {
    matches!(kind, "image/jpeg" | "image/png" | "image/webp")
}

/// Copies a picture without its metadata into a new file. Blocking.
pub fn clean_file(kind: &str, from: &Path, to: &Path) -> io::Result<Exif> {
    let mut source = BufReader::with_capacity(64 << 10, File::open(from)?);
    let mut target = BufWriter::with_capacity(64 << 10, super::shelf::draft::private_file(to)?);
    let exif = clean(kind, &mut source, &mut target)?;
    target.flush()?;
    Ok(exif)
}

/// Copies a picture of a type that [`is_cleaned`] without its metadata.
pub fn clean<R: BufRead + Seek, W: Write>(kind: &str, source: &mut R, target: &mut W) -> io::Result<Exif> {
    let told = match kind {
        "image/jpeg" => jpeg(source, target),
        "image/png" => png(source, target),
        _ => webp(source, target),
    };
    let told = match told {
        Ok(told) => told,
        // The picture ends too early; what came is in the copy.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Told::default(),
        Err(error) => return Err(error),
    };
    Ok(Exif { stripped: true, captured_at: told.captured_at, geometry: told.geometry })
}

fn bytes<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Copies so many bytes, or fails when there are fewer.
fn copy(source: &mut impl Read, target: &mut impl Write, length: u64) -> io::Result<()> {
    let copied = io::copy(&mut source.take(length), target)?;
    if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Reads metadata, or passes over it where it is too long.
fn read(source: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    if length > LONGEST {
        copy(source, &mut io::sink(), length)?;
        return Ok(Vec::new());
    }
    let mut data = Vec::new();
    source.take(length).read_to_end(&mut data)?;
    Ok(data)
}

/// Segments (ISO 10918-1, annex B). APP1 holds EXIF and XMP, APP13 the captions of newsrooms; a second picture (APP2 `MPF`) lies
/// behind the end, which is where copying ends.
fn jpeg<W: Write>(source: &mut impl BufRead, target: &mut W) -> io::Result<Told> {
    let mut told = Told::default();
    let mut pending = None;
    loop {
        let code = match pending.take() {
            Some(code) => code,
            None if bytes::<1>(source)? == [0xff] => marker(source)?,
            None => return Ok(told),
        };
        match code {
            0x01 | 0xd0..=0xd8 => target.write_all(&[0xff, code])?,
            0xd9 => {
                target.write_all(&[0xff, code])?;
                return Ok(told);
            }
            _ => {
                let length = u16::from_be_bytes(bytes(source)?);
                let Some(rest) = length.checked_sub(2) else { return Ok(told) };
                let data = read(source, rest.into())?;
                if data.len() < rest.into() {
                    return Ok(told);
                }
                if is_metadata(code, &data) {
                    replace(code, &data, &mut told, target)?;
                    continue;
                }
                target.write_all(&[0xff, code])?;
                target.write_all(&length.to_be_bytes())?;
                target.write_all(&data)?;
                if code == 0xda {
                    pending = scan(source, target)?;
                    if pending.is_none() {
                        return Ok(told);
                    }
                }
            }
        }
    }
}

/// The code behind 0xff and what fills up before it.
fn marker(source: &mut impl Read) -> io::Result<u8> {
    loop {
        let [code] = bytes(source)?;
        if code != 0xff {
            return Ok(code);
        }
    }
}

fn is_metadata(code: u8, data: &[u8]) -> bool {
    // A comment is free text; of the others only colour profiles and Adobe's colour transform are part of the picture.
    match code {
        0xe0 => !data.starts_with(b"JFIF\0"),
        0xe2 => !data.starts_with(b"ICC_PROFILE\0"),
        0xee => !data.starts_with(b"Adobe"),
        0xe1..=0xef | 0xfe => true,
        _ => false,
    }
}

/// In the place of EXIF stands what says which way up the picture is, if it said so.
fn replace(code: u8, data: &[u8], told: &mut Told, target: &mut impl Write) -> io::Result<()> {
    let Some(tiff) = data.strip_prefix(b"Exif\0\0").filter(|_| code == 0xe1 && !told.is_read) else { return Ok(()) };
    *told = tiff::read(tiff);
    let Some(orientation) = told.orientation else { return Ok(()) };
    target.write_all(b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0")?;
    target.write_all(&[orientation, 0, 0, 0, 0, 0, 0])
}

/// Copies the picture itself up to the next marker; None at the end of the file.
fn scan(source: &mut impl BufRead, target: &mut impl Write) -> io::Result<Option<u8>> {
    loop {
        let buffered = source.fill_buf()?;
        if buffered.is_empty() {
            return Ok(None);
        }
        let plain = buffered.iter().position(|byte| *byte == 0xff).unwrap_or(buffered.len());
        target.write_all(&buffered[..plain])?;
        let is_marker = plain < buffered.len();
        source.consume(plain + usize::from(is_marker));
        if !is_marker {
            continue;
        }
        match marker(source)? {
            code @ (0 | 0xd0..=0xd7) => target.write_all(&[0xff, code])?,
            code => return Ok(Some(code)),
        }
    }
}

/// Chunks (PNG, third edition, §5).
fn png<W: Write>(source: &mut impl Read, target: &mut W) -> io::Result<Told> {
    let mut told = Told::default();
    target.write_all(&bytes::<8>(source)?)?;
    loop {
        let (length, kind) = (u32::from_be_bytes(bytes(source)?), bytes::<4>(source)?);
        // With its checksum.
        let rest = u64::from(length) + 4;
        match &kind {
            b"eXIf" => {
                let data = read(source, rest)?;
                told = tiff::read(&data[..data.len().saturating_sub(4)]);
            }
            b"tEXt" | b"zTXt" | b"iTXt" | b"tIME" => copy(source, &mut io::sink(), rest)?,
            _ => {
                target.write_all(&length.to_be_bytes())?;
                target.write_all(&kind)?;
                copy(source, target, rest)?;
            }
        }
        if &kind == b"IEND" {
            return Ok(told);
        }
    }
}

/// Chunks of RIFF (RFC 9649, §2). The length of the whole stands before them, so they are counted first.
fn webp<R: Read + Seek, W: Write>(source: &mut R, target: &mut W) -> io::Result<Told> {
    let mut told = Told::default();
    let [riff, length, name] = [bytes::<4>(source)?, bytes(source)?, bytes(source)?];
    let end = u64::from(u32::from_le_bytes(length)) + 8;
    let mut kept = Vec::new();
    let (mut at, mut sum) = (12, 4_u64);
    // A picture has few chunks; an animation has one a frame.
    while at + 8 <= end && kept.len() < 100_000 {
        source.seek(SeekFrom::Start(at))?;
        let Ok(kind) = bytes::<4>(source) else { break };
        let Ok(length) = bytes(source).map(u32::from_le_bytes) else { break };
        let whole = u64::from(length) + u64::from(length % 2);
        match &kind {
            b"EXIF" => {
                let data = read(source, length.into())?;
                told = tiff::read(data.strip_prefix(b"Exif\0\0").unwrap_or(&data));
            }
            b"VP8X" | b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP" => {
                kept.push((at, kind, length));
                sum += 8 + whole;
            }
            _ => {}
        }
        at += 8 + whole;
    }
    target.write_all(&riff)?;
    target.write_all(&u32::try_from(sum).unwrap_or(u32::MAX).to_le_bytes())?;
    target.write_all(&name)?;
    for (at, kind, length) in kept {
        source.seek(SeekFrom::Start(at + 8))?;
        target.write_all(&kind)?;
        target.write_all(&length.to_le_bytes())?;
        let mut rest = u64::from(length);
        if &kind == b"VP8X" && rest > 0 {
            // The flags that announce EXIF and XMP.
            let [flags] = bytes(source)?;
            target.write_all(&[flags & !0x0c])?;
            rest -= 1;
        }
        copy(source, target, rest)?;
        if length % 2 == 1 {
            target.write_all(&[0])?;
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests;
