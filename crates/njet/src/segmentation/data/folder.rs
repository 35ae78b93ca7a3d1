//! Folders of images and masks: `DIR/{train,val,test}/{images,masks}/NAME.*`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{Pair, SceneFiles};
use super::{MOST_CLASSES, Scenes, SegmentationSet};
use crate::data::files::Memory;
use crate::data::folder::entries;
use crate::data::{DataError, MOST_PIXELS, Watch};

const IMAGES: &str = "images";
const MASKS: &str = "masks";
const CLASSES: &str = "classes.txt";

/// How a folder of images and masks is read.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskFolderConfig {
    /// Decoded images and masks are kept in memory up to so many bytes; the others are decoded again each time.
    pub held_bytes: usize,
    /// Images of more pixels are refused.
    pub most_pixels: u64,
}

impl Default for MaskFolderConfig {
    /// One gibibyte, 100 megapixels.
    fn default() -> Self {
        Self { held_bytes: 1 << 30, most_pixels: MOST_PIXELS }
    }
}

/// Whether a directory is meant for [`load_mask_folder`].
pub(super) fn is_mask_folder(directory: &Path) -> bool {
    directory.join("train").join(MASKS).is_dir()
}

/// Loads a folder of images and masks: `train/images`, `train/masks`, `val/images`, `val/masks`, and `test/images` and
/// `test/masks` where there are any; otherwise the test scenes are those of `val`.
///
/// An image and its mask have one name, whatever the ending. Images are of any size and format that
/// [`read_image`](crate::data::read_image) takes; masks are what [`read_mask`](super::read_mask) takes. The lines of
/// `classes.txt`, where there is such a file, are the names of the classes; without it they are `0`, `1`, … up to the
/// greatest in the masks. Grey images among coloured ones become coloured. Every file is decoded once. Names that begin
/// with a dot are passed over.
///
/// # Errors
///
/// A [`DataError`] that names the file: an image without a mask or a mask without an image, one of two sizes, one that
/// cannot be read, a class that `classes.txt` does not have or that is above 254; or the directory: a part of it is
/// missing or empty, or there are fewer than two classes.
pub fn load_mask_folder(directory: impl AsRef<Path>, config: &MaskFolderConfig) -> Result<SegmentationSet, DataError> {
    read_mask_folder(directory.as_ref(), config, &|_, _| {})
}

/// [`load_mask_folder`]; `watch` is told of every image that is decoded, with its mask.
pub(super) fn read_mask_folder(
    directory: &Path,
    config: &MaskFolderConfig,
    watch: Watch<'_>,
) -> Result<SegmentationSet, DataError> {
    let names = class_names(&directory.join(CLASSES))?;
    if let Some(names) = &names
        && names.len() < 2
    {
        let reason = format!("{CLASSES} names {} class", names.len());
        return Err(DataError::TooFewClasses { directory: directory.to_path_buf(), reason });
    }
    let has_test = directory.join("test").join(IMAGES).is_dir();
    let parts = if has_test { vec!["train", "val", "test"] } else { vec!["train", "val"] };
    // Before anything is decoded.
    let listed: Vec<Vec<Pair>> = parts.iter().map(|part| pairs(directory, part)).collect::<Result<_, _>>()?;
    let memory = Memory::new(config.held_bytes);
    let known = names.as_ref().map(Vec::len);
    let all: usize = listed.iter().map(Vec::len).sum();
    let mut before = 0;
    let mut read = |pairs: &Vec<Pair>| {
        let told = |done, _| watch(before + done, all);
        let files = SceneFiles::read(pairs, known, config.most_pixels, &memory, &told);
        before += pairs.len();
        files
    };
    let mut scenes: Vec<SceneFiles> = listed.iter().map(&mut read).collect::<Result<_, _>>()?;
    let channels = scenes.iter().map(SceneFiles::channels).max().unwrap_or(1);
    scenes.iter_mut().for_each(|files| files.set_channels(channels));
    let classes = match names {
        Some(names) => names,
        None => {
            let count = scenes.iter().map(SceneFiles::classes).max().unwrap_or(0);
            if count < 2 {
                let found = if count == 0 { "there is no class in the masks" } else { "the masks hold class 0 alone" };
                let reason = format!("{found} (and there is no {CLASSES})");
                return Err(DataError::TooFewClasses { directory: directory.to_path_buf(), reason });
            }
            (0..count).map(|class| class.to_string()).collect()
        }
    };
    let mut scenes = scenes.into_iter().map(Scenes::Files);
    let mut next = || scenes.next();
    let (train, val) = (next().expect("training scenes"), next().expect("validation scenes"));
    let test = next().unwrap_or_else(|| val.clone());
    Ok(SegmentationSet { name: directory.display().to_string(), classes, channels, train, val, test })
}

/// The images of a part with their masks, in the order of their names.
fn pairs(directory: &Path, part: &str) -> Result<Vec<Pair>, DataError> {
    let [images, masks] = [IMAGES, MASKS].map(|name| directory.join(part).join(name));
    for (path, name) in [(&images, IMAGES), (&masks, MASKS)] {
        if !path.is_dir() {
            let missing = format!("{part}/{name}");
            return Err(DataError::NoSegmentationFolder { directory: directory.to_path_buf(), missing });
        }
    }
    let (image_files, mut mask_files) = (by_name(&images)?, by_name(&masks)?);
    if image_files.is_empty() && mask_files.is_empty() {
        return Err(DataError::NoScenes { path: images, masks });
    }
    let mut pairs = Vec::with_capacity(image_files.len());
    for (name, image) in image_files {
        match mask_files.remove(&name) {
            Some(mask) => pairs.push(Pair { name, image, mask }),
            None => return Err(DataError::MissingMask { image, name, masks }),
        }
    }
    match mask_files.into_iter().next() {
        Some((name, mask)) => Err(DataError::MaskWithoutImage { mask, name, images }),
        None => Ok(pairs),
    }
}

/// The files of a directory by their names without ending.
fn by_name(directory: &Path) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let mut files = BTreeMap::new();
    for path in entries(directory)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(first) = files.insert(name, path.clone()) {
            return Err(DataError::SameName { first, second: path });
        }
    }
    Ok(files)
}

/// The lines of a file of class names; `None` without the file.
fn class_names(path: &Path) -> Result<Option<Vec<String>>, DataError> {
    let refused = |reason: String| DataError::BadClassNames { path: path.to_path_buf(), reason };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DataError::from_io(path, error)),
    };
    let text = String::from_utf8(bytes).map_err(|_| refused("not UTF-8".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    if let Some(empty) = names.iter().position(String::is_empty) {
        return Err(refused(format!("line {} is empty", empty + 1)));
    }
    for (i, name) in names.iter().enumerate() {
        if let Some(first) = names[..i].iter().position(|before| before == name) {
            return Err(refused(format!("lines {} and {} are both {name:?}", first + 1, i + 1)));
        }
    }
    if names.len() > MOST_CLASSES {
        return Err(refused(format!("{} lines are more than the {MOST_CLASSES} classes there can be", names.len())));
    }
    Ok(Some(names))
}
