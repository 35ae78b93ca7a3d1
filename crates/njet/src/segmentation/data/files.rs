//! Scenes in image files and mask files, decoded once to see that they can be, and kept as far as memory is given.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::scene::count_classes;
use super::scenes::moments;
use super::{IGNORED, MOST_CLASSES, Mask, Scene, mask};
use crate::data::cores::on_all_cores;
use crate::data::decode::{self, Decoded};
use crate::data::files::Memory;
use crate::data::{DataError, Image, Watch};

/// An image file and its mask file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) image: PathBuf,
    pub(super) mask: PathBuf,
}

#[derive(Debug)]
struct SceneFile {
    pair: Pair,
    /// Those of the file.
    channels: usize,
    height: usize,
    width: usize,
    moments: [f64; 2],
    counts: Box<[u64; 256]>,
    held: Option<Scene>,
}

/// Image files with their masks: the store behind a folder of images and masks.
#[derive(Debug, Clone)]
pub struct SceneFiles {
    files: Arc<Vec<SceneFile>>,
    channels: usize,
    classes: Option<usize>,
    most_pixels: u64,
}

impl SceneFiles {
    /// Decodes all files, on all cores. `classes`: their number, where it is known.
    pub(super) fn read(
        pairs: &[Pair],
        classes: Option<usize>,
        most_pixels: u64,
        memory: &Memory,
        watch: Watch<'_>,
    ) -> Result<Self, DataError> {
        let read = |i: usize| SceneFile::read(&pairs[i], classes, most_pixels, memory);
        // Of several errors, the first in the order of the names.
        let files: Vec<SceneFile> = on_all_cores(pairs.len(), watch, read).into_iter().collect::<Result<_, _>>()?;
        let channels = files.iter().map(|file| file.channels).max().unwrap_or(1);
        Ok(Self { files: Arc::new(files), channels, classes, most_pixels })
    }

    /// The number of scenes.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Channels that scenes are given with.
    pub fn channels(&self) -> usize {
        self.channels
    }

    pub(super) fn set_channels(&mut self, channels: usize) {
        self.channels = channels;
    }

    /// The greatest class in the masks and one more; 0 where all is ignored.
    pub(super) fn classes(&self) -> usize {
        let greatest = |file: &SceneFile| file.counts[..MOST_CLASSES].iter().rposition(|&count| count > 0);
        self.files.iter().filter_map(greatest).max().map_or(0, |class| class + 1)
    }

    /// `[height, width]` of scene `i` in pixels.
    pub fn size(&self, i: usize) -> [usize; 2] {
        [self.files[i].height, self.files[i].width]
    }

    /// The name of scene `i`: that of its files, without the ending.
    pub fn name(&self, i: usize) -> &str {
        &self.files[i].pair.name
    }

    /// The image file of scene `i`.
    pub fn image_path(&self, i: usize) -> &Path {
        &self.files[i].pair.image
    }

    /// The mask file of scene `i`.
    pub fn mask_path(&self, i: usize) -> &Path {
        &self.files[i].pair.mask
    }

    pub(super) fn counts(&self, i: usize) -> &[u64; 256] {
        &self.files[i].counts
    }

    pub(super) fn moments(&self, i: usize) -> [f64; 2] {
        self.files[i].moments
    }

    /// Scene `i`, from memory where it is kept there.
    ///
    /// # Errors
    ///
    /// A [`DataError`] that names the file, if it cannot be read any more or is another one by now.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`.
    pub fn load(&self, i: usize) -> Result<Scene, DataError> {
        let file = &self.files[i];
        let scene = match &file.held {
            Some(scene) => scene.clone(),
            None => {
                let scene = read(&file.pair, self.classes, self.most_pixels)?;
                let path = |path: &Path| DataError::ChangedImage { path: path.to_path_buf() };
                if (scene.channels, scene.height, scene.width) != (file.channels, file.height, file.width) {
                    return Err(path(&file.pair.image));
                }
                if count_classes(&scene.mask) != *file.counts {
                    return Err(path(&file.pair.mask));
                }
                scene
            }
        };
        Ok(scene.with_channels(self.channels))
    }
}

impl SceneFile {
    fn read(pair: &Pair, classes: Option<usize>, most_pixels: u64, memory: &Memory) -> Result<Self, DataError> {
        let scene = read(pair, classes, most_pixels)?;
        let Scene { channels, height, width, .. } = scene;
        Ok(Self {
            pair: pair.clone(),
            channels,
            height,
            width,
            moments: moments(&scene.image),
            counts: Box::new(scene.class_counts()),
            held: memory.take(scene.image.len() + scene.mask.len()).then_some(scene),
        })
    }
}

/// An image and its mask, which must have its size and no class that does not exist.
fn read(pair: &Pair, classes: Option<usize>, most_pixels: u64) -> Result<Scene, DataError> {
    let Decoded { image: Image { pixels, channels, height, width }, .. } = decode::read(&pair.image, most_pixels)
        .map_err(|reason| DataError::UnusableImage { path: pair.image.clone(), reason })?;
    let mask = mask::read(&pair.mask, most_pixels)
        .map_err(|reason| DataError::UnusableMask { path: pair.mask.clone(), reason })?;
    let Mask { height: mask_height, width: mask_width, .. } = mask;
    if [mask_height, mask_width] != [height, width] {
        return Err(DataError::MaskSize {
            image: pair.image.clone(),
            image_size: format!("{height}×{width}"),
            mask: pair.mask.clone(),
            mask_size: format!("{mask_height}×{mask_width}"),
        });
    }
    if let Some((class, row, column)) = mask.beyond(classes.unwrap_or(MOST_CLASSES)) {
        let known = match classes {
            Some(classes) => format!("classes.txt names {classes}, 0 to {}", classes - 1),
            None => format!("the greatest there can be is {}", MOST_CLASSES - 1),
        };
        return Err(DataError::ClassOutOfRange { path: pair.mask.clone(), class, row, column, known });
    }
    let byte = |&class: &u16| u8::try_from(class).unwrap_or(IGNORED);
    Ok(Scene { image: pixels.into_owned(), mask: mask.classes.iter().map(byte).collect(), channels, height, width })
}
