//! The composed scenes: the same each time, exact masks, and the sizes that were asked for.

use std::collections::{BTreeSet, HashMap};

use njet::data::{self as images, Resampler, Samples};
use njet::segmentation::data::{self, Objects, Scene, Scenes, SizeUnit};

fn all(scenes: &Scenes) -> Vec<(Scene, Objects)> {
    (0..scenes.len()).map(|i| (scenes.load(i).unwrap(), scenes.objects(i).unwrap())).collect()
}

/// FNV-1a: a number that tells whether any byte differs.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn the_same_each_time_and_another_with_another_seed() {
    let source = "scenes?train=6&val=3&test=3";
    let [set, again] = [(); 2].map(|()| data::load(source).unwrap());
    // In another order: a scene depends on its number alone.
    (0..6).rev().for_each(|i| drop(again.train.load(i).unwrap()));
    for (a, b) in [(&set.train, &again.train), (&set.val, &again.val), (&set.test, &again.test)] {
        assert_eq!(all(a), all(b));
    }
    let seeded = data::load("scenes?train=6&val=3&test=3&seed=2").unwrap();
    let mut distinct: Vec<Vec<u8>> = [&set, &seeded]
        .into_iter()
        .flat_map(|set| [&set.train, &set.val, &set.test])
        .flat_map(|scenes| all(scenes).into_iter().map(|(scene, _)| scene.image))
        .collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 24, "no scene is another");
    // More scenes do not change those before.
    let more = data::load("scenes?train=9&val=3&test=3").unwrap();
    assert_eq!(all(&more.train)[..6], all(&set.train)[..]);
}

/// If this fails, results that were recorded would come out differently.
#[test]
fn the_scenes_never_change() {
    let set = data::load("scenes").unwrap();
    let number = |scenes: &Scenes| {
        hash((0..3).flat_map(|i| {
            let scene = scenes.load(i).unwrap();
            [scene.image, scene.mask].concat()
        }))
    };
    let numbers = [7_918_308_241_108_797_867, 614_160_800_561_067_939, 15_216_494_656_239_148_269];
    assert_eq!([&set.train, &set.val, &set.test].map(number), numbers);
}

#[test]
fn the_default_is_as_documented() {
    let set = data::load("scenes").unwrap();
    assert_eq!((set.channels, set.classes.len(), set.classes[0].as_str()), (1, 11, "background"));
    assert_eq!(set.classes[1..], images::FASHION_MNIST_CLASSES);
    assert_eq!([set.train.len(), set.val.len(), set.test.len()], [15_000, 100, 1000]);
    assert!(set.name.starts_with("scenes?canvas=128&"), "{}", set.name);
    assert_eq!(set.train.size(2999), [128, 128]);
}

/// Mask, map and list tell one story, and every object shows what it must.
#[test]
fn masks_are_exactly_the_objects() {
    let set = data::load("scenes?train=150&val=1&test=1").unwrap();
    let mut classes = BTreeSet::new();
    let mut factors = Vec::new();
    let mut overlaps = 0;
    for (scene, objects) in all(&set.train) {
        assert_eq!((scene.image.len(), scene.mask.len(), objects.map.len()), (128 * 128, 128 * 128, 128 * 128));
        assert_eq!(objects.unit, SizeUnit::Factor);
        assert!((1..=30).contains(&objects.list.len()), "{} objects", objects.list.len());
        assert!(objects.list.is_sorted_by(|a, b| a.size >= b.size), "the largest first");
        let mut pixels = vec![0; objects.list.len()];
        for (&object, &class) in objects.map.iter().zip(&scene.mask) {
            match object {
                0 => assert_eq!(class, 0),
                _ => {
                    let object = usize::from(object) - 1;
                    assert_eq!(class, objects.list[object].class);
                    pixels[object] += 1;
                }
            }
        }
        for (object, &pixels) in objects.list.iter().zip(&pixels) {
            assert_eq!(object.pixels, pixels);
            assert!((1..=10).contains(&object.class) && (0.5..=4.0).contains(&object.size), "{object:?}");
            // An item has at least 64 of 784 pixels; at least half is inside, and of that three quarters are seen.
            // Outlines thinner than a pixel of a reduced item lose some of it.
            assert!(pixels as f64 >= 0.375 * 0.5 * 64.0 * object.size.powi(2), "{object:?}");
            classes.insert(object.class);
            factors.push(object.size);
        }
        // Where objects of several meet, one lies over the other.
        let touch = |i: usize, j: usize| objects.map[i] != objects.map[j] && objects.map[i] * objects.map[j] != 0;
        overlaps += usize::from((0..128 * 127).any(|i| touch(i, i + 128)));
    }
    assert_eq!(classes.len(), 10);
    assert!(overlaps > 30, "{overlaps} scenes with overlaps");
    // The same area in every octave: from ½, 1 and 2 on, of 2000 and more. Five standard deviations are less than 0.05,
    // and where there is no place for an item it is left out, for which there is as much.
    let area = |from: f64| {
        let octave = factors.iter().filter(|&&factor| (from..2.0 * from).contains(&factor));
        octave.map(|factor| factor * factor).sum::<f64>()
    };
    let areas = [0.5, 1.0, 2.0].map(area);
    let all: f64 = areas.iter().sum();
    assert!(areas.iter().all(|area| (area / all - 1.0 / 3.0).abs() < 0.1), "{areas:?} of {}", factors.len());
}

/// Pixels as [row, column], moved so that the least of both is 0.
fn moved(pixels: impl Iterator<Item = [usize; 2]>) -> Vec<[usize; 2]> {
    let pixels: Vec<[usize; 2]> = pixels.collect();
    let [top, left] = [0, 1].map(|axis| pixels.iter().map(|at| at[axis]).min().unwrap_or(0));
    pixels.into_iter().map(|[y, x]| [y - top, x - left]).collect()
}

/// Where the outline of an item that is not black, resampled, covers half of a pixel or more; and which item that is.
fn outlines(items: &Samples, factor: usize) -> HashMap<Vec<[usize; 2]>, usize> {
    let side = 28 * factor;
    let resampler = Resampler::new([28, 28], [side, side]);
    let outline = |i: usize| {
        let solid: Vec<f32> = items.image(i).unwrap().pixels.iter().map(|&v| if v > 20 { 1.0 } else { 0.0 }).collect();
        let cover = resampler.plane(&solid);
        moved((0..side * side).filter(|&at| cover[at] >= 0.5).map(|at| [at / side, at % side]))
    };
    (0..items.len()).map(|i| (outline(i), i)).collect()
}

/// The items of scenes of one object each, without those that the border cuts off.
fn items_of(scenes: &Scenes, items: &Samples, factor: usize) -> BTreeSet<usize> {
    let outlines = outlines(items, factor);
    let mut found = BTreeSet::new();
    for (scene, objects) in all(scenes) {
        let Scene { mask, height, width, .. } = scene;
        let pixels = || (0..mask.len()).filter(|&at| mask[at] != 0).map(|at| [at / width, at % width]);
        if pixels().any(|[y, x]| y % (height - 1) == 0 || x % (width - 1) == 0) {
            continue;
        }
        let item = outlines.get(&moved(pixels())).expect("an item with exactly this outline");
        assert_eq!(items.label(*item) + 1, objects.list[0].class);
        found.insert(*item);
    }
    found
}

/// Single objects as they are and made larger: the mask is the outline of an item, pixel by pixel. Training, validation
/// and test scenes have none in common.
#[test]
fn masks_are_the_outlines_of_items_and_no_part_has_those_of_another() {
    let base = images::load(images::DEFAULT_SOURCE).unwrap();
    for factor in [1, 3] {
        let canvas = 50 * factor;
        let source =
            format!("scenes?smallest={factor}&largest={factor}&most=1&train=60&val=60&test=20&canvas={canvas}");
        let set = data::load(&source).unwrap();
        let [train, val] = [&set.train, &set.val].map(|scenes| items_of(scenes, &base.train, factor));
        let test = items_of(&set.test, &base.test, factor);
        assert!(train.len() > 20 && val.len() > 20 && test.len() > 5, "{} {} {}", train.len(), val.len(), test.len());
        assert!(train.is_disjoint(&val), "training and validation scenes have items of their own");
    }
}
