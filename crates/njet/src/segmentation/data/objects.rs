//! Which pixels of a scene belong to one thing, and how large it is.

use serde::Serialize;

use super::{IGNORED, Scene};

/// What [`Object::size`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeUnit {
    /// The factor by which the object was made larger than its original.
    Factor,
    /// The square root of its number of pixels.
    Pixels,
}

/// One thing in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Object {
    /// Its class, which is what the mask has at its pixels.
    pub class: u8,
    /// How large it is, in the unit of [`Objects::unit`].
    pub size: f64,
    /// Pixels that are seen of it.
    pub pixels: usize,
}

/// The things in a scene.
///
/// # Shapes
///
/// - map: `[height, width]`, row-major: 0 where there is no object, and k + 1 where `list[k]` is seen
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    /// The objects.
    pub list: Vec<Object>,
    /// Where they are.
    pub map: Vec<u16>,
    /// What their size counts.
    pub unit: SizeUnit,
}

impl Objects {
    /// The objects of a mask alone: pixels of one class that touch, corners included. `background` is no object, and
    /// pixels to ignore are none. Their size is the square root of their number of pixels. Beyond 65,535 objects the
    /// rest is left out.
    ///
    /// ```
    /// use njet::segmentation::data::{Objects, Scene};
    ///
    /// let scene = Scene { image: vec![0; 6], mask: vec![1, 0, 1, 1, 0, 2], channels: 1, height: 2, width: 3 };
    /// let objects = Objects::of_mask(&scene, Some(0));
    /// assert_eq!(objects.map, [1, 0, 2, 1, 0, 3]);
    /// assert_eq!(objects.list.iter().map(|object| object.class).collect::<Vec<_>>(), [1, 1, 2]);
    /// ```
    pub fn of_mask(scene: &Scene, background: Option<u8>) -> Self {
        let Scene { mask, height, width, .. } = scene;
        let (height, width) = (*height, *width);
        let (mut list, mut map) = (Vec::new(), vec![0u16; mask.len()]);
        let mut open = Vec::new();
        for start in 0..mask.len() {
            let class = mask[start];
            if class == IGNORED || Some(class) == background || map[start] != 0 {
                continue;
            }
            let Ok(number) = u16::try_from(list.len() + 1) else { break };
            let mut pixels = 0;
            map[start] = number;
            open.push(start);
            while let Some(at) = open.pop() {
                pixels += 1;
                let (y, x) = (at / width, at % width);
                for y in y.saturating_sub(1)..(y + 2).min(height) {
                    for x in x.saturating_sub(1)..(x + 2).min(width) {
                        let near = y * width + x;
                        if mask[near] == class && map[near] == 0 {
                            map[near] = number;
                            open.push(near);
                        }
                    }
                }
            }
            list.push(Object { class, size: (pixels as f64).sqrt(), pixels });
        }
        Self { list, map, unit: SizeUnit::Pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_of_a_class_belongs_to_one_object() {
        // Pixels touch at corners; 255 parts; class 0 is an object where no background is named.
        let mask = vec![1, 0, 2, 255, 0, 1, 255, 2, 1, 0, 0, 1];
        let scene = Scene { image: vec![0; 12], mask, channels: 1, height: 3, width: 4 };
        let objects = Objects::of_mask(&scene, Some(0));
        assert_eq!(objects.map, [1, 0, 2, 0, 0, 1, 0, 2, 1, 0, 0, 3]);
        let found: Vec<_> = objects.list.iter().map(|object| (object.class, object.pixels)).collect();
        assert_eq!(found, [(1, 3), (2, 2), (1, 1)]);
        assert!((objects.list[0].size - 3f64.sqrt()).abs() < 1e-15);
        let all = Objects::of_mask(&scene, None);
        assert_eq!(all.map.iter().filter(|&&object| object == 0).count(), 2, "the ignored pixels alone");
    }
}
