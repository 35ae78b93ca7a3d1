//! The U-Net: shapes, gradients, counts, and tiles against the whole image.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor};
use njet::data::{Image, Normalisation};
use njet::models::{LayerKind, LayerSettings, ModelError, Subsampling, UNet, UNetConfig};
use njet::segmentation::data::{Composition, Objects, Scene, Scenes, SegmentationSet, SizeUnit};
use njet::segmentation::loss::Loss;
use njet::segmentation::metrics::{BoundaryF1, Confusion, SizeIou};
use njet::segmentation::{SegmentationConfig, Segmenter, TileError, evaluate_scenes};
use njet::{PaddingMode, SigmaSharing};
use std::sync::Mutex;

/// Random numbers are the program's: weights are drawn by one test at a time.
static WEIGHTS: Mutex<()> = Mutex::new(());

fn drawn(config: &UNetConfig, device: &Device) -> UNet {
    let _one_at_a_time = WEIGHTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    device.seed(5);
    config.init(device).unwrap().materialize()
}

/// Small forms of the network: safe, plain, pooled. The last has no step to the full resolution.
fn forms() -> [UNetConfig; 3] {
    let pooled = UNetConfig { widths: vec![3, 6, 6], convolutions: vec![1, 2, 2], ..UNetConfig::new(2, 4) };
    let whole = UNetConfig { up: Some(vec![1, 1]), deep_supervision: 0.0, ..pooled.clone() };
    [
        UNetConfig { subsampling: Subsampling::Safe, ..whole.clone() },
        UNetConfig { layer: LayerKind::Conv, ..whole },
        pooled,
    ]
}

/// With one step alone.
fn shallow(mut config: UNetConfig) -> UNetConfig {
    config.widths.truncate(2);
    config.convolutions.truncate(2);
    config.up = None;
    config
}

/// Numbers that look random and need no generator.
fn ripples(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let count: usize = shape.iter().product();
    let numbers = Tensor::<1, Int>::arange(0..count as i64, device).float();
    (numbers.clone().powi_scalar(2).mul_scalar(0.37) + numbers).sin().reshape(shape)
}

#[test]
fn the_output_has_the_size_of_the_input() {
    let device = Device::flex();
    for config in forms() {
        let model = drawn(&config, &device).valid();
        for [height, width] in [[1, 1], [1, 9], [2, 3], [16, 16], [17, 22], [31, 5]] {
            let y = model.forward(ripples([2, 2, height, width], &device));
            assert_eq!(y.dims(), [2, 4, height, width], "{:?} {:?}", config.layer, config.subsampling);
            assert!(y.into_data().iter::<f32>().all(f32::is_finite));
        }
    }
}

/// A step up has zeros beyond its border whatever the step down has: it ends where the image does.
#[test]
fn images_are_continued_on_the_way_down_alone() {
    let device = Device::flex();
    for padding_mode in [PaddingMode::Replicate, PaddingMode::Reflect, PaddingMode::Circular] {
        let njet = LayerSettings { padding_mode, ..LayerSettings::default() };
        let model = drawn(&UNetConfig { njet, ..forms()[0].clone() }, &device).valid();
        assert_eq!(model.forward(ripples([1, 2, 9, 14], &device)).dims(), [1, 4, 9, 14], "{padding_mode:?}");
    }
}

/// What is added to make the size even must not change an answer: a column of zeros that is there already is seen alike.
#[test]
fn an_odd_image_is_seen_as_one_with_zeros_at_its_end() {
    let device = Device::flex();
    let model = drawn(&forms()[2], &device).valid();
    let x = ripples([1, 2, 13, 18], &device);
    let padded = Tensor::cat(vec![x.clone(), Tensor::zeros([1, 2, 3, 18], &device)], 2);
    let padded = Tensor::cat(vec![padded, Tensor::zeros([1, 2, 16, 2], &device)], 3);
    let whole = model.forward(padded).slice_dim(2, 0..13).slice_dim(3, 0..18);
    let difference = (model.forward(x) - whole).abs().max().into_scalar::<f32>();
    assert_eq!(difference, 0.0);
}

#[test]
fn every_parameter_has_a_gradient() {
    let device = Device::flex().autodiff();
    for config in forms() {
        let config = UNetConfig { deep_supervision: 0.0, ..config };
        let model = drawn(&config, &device);
        let target = Tensor::<3, Int>::from_data([[[0, 1, 2, 3, 255]; 7]; 2], &device);
        let loss = Loss::default().forward(model.forward(ripples([2, 2, 7, 5], &device)), target);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        struct Missing<'a>(&'a GradientsParams, usize, usize);
        impl burn::module::ModuleVisitor for Missing<'_> {
            fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
                if !param.is_require_grad() {
                    return;
                }
                let gradient = self.0.get::<D>(param.id).expect("a gradient");
                self.1 += 1;
                self.2 += usize::from(gradient.abs().sum().into_scalar::<f32>() == 0.0);
            }
        }
        let mut missing = Missing(&gradients, 0, 0);
        model.visit(&mut missing);
        let scales = model.njet_layers().count();
        // Blocks of weight, gain and offset; steps up; gain and offset before the head, and the head with its bias; and σ.
        assert_eq!(
            missing.1,
            3 * model.blocks.len() + model.ups.len() + 4 + scales,
            "{:?} {:?}",
            config.layer,
            config.subsampling
        );
        assert_eq!(missing.2, 0, "{:?} {:?}: gradients that are zero", config.layer, config.subsampling);
    }
}

#[test]
fn the_scales_are_those_of_the_layers() {
    let device = Device::flex();
    let [safe, plain, pooled] = forms().map(|config| drawn(&config, &device));
    assert_eq!((safe.njet_layers().count(), plain.njet_layers().count(), pooled.njet_layers().count()), (7, 0, 6));
    assert_eq!([&safe, &plain, &pooled].map(UNet::total_stride), [None, Some(4), Some(4)]);
    let down = safe.njet_layers().find(|(name, _)| *name == "down1.conv1").unwrap().1;
    assert!((down.stride_now()[0] - 2.0).abs() < 1e-5);
}

#[test]
fn descriptions_count_what_is_there() {
    let device = Device::flex();
    for config in forms() {
        let model = drawn(&config, &device);
        let description = model.describe(21, 16);
        assert_eq!(description.parameters, model.num_parameters(), "{:?} {:?}", config.layer, config.subsampling);
        assert!(description.layers.windows(2).all(|pair| pair[0].receptive_field <= pair[1].receptive_field));
    }
    // By hand: for each window its weights, gain and offset; the steps up; the head with its bias, and gain and
    // offset before it.
    let plain = drawn(&forms()[1], &device);
    let windows = |pairs: &[[usize; 2]]| pairs.iter().map(|[i, o]| 9 * i * o + 2 * o).sum::<usize>();
    let blocks = windows(&[[2, 3], [3, 6], [6, 6], [6, 6], [6, 6], [6, 6], [3, 3]]);
    assert_eq!(plain.num_parameters(), blocks + 6 * 4 * 6 + 6 * 4 * 3 + (3 + 1) * 4 + 2 * 3);
}

/// No pixel farther than [`UNet::reach`] has any influence. How near it comes shows with windows, whose weights do not fall
/// off towards their edge.
#[test]
fn the_reach_is_a_bound() {
    let device = Device::flex();
    let njet = LayerSettings { sigma: 0.6, ..LayerSettings::default() };
    for config in [forms()[2].clone(), shallow(UNetConfig { njet, ..forms()[2].clone() }), forms()[1].clone()] {
        let model = drawn(&config, &device).valid();
        let (reach, middle) = (model.reach(), 150);
        let x = ripples([1, 2, 1, 300], &device);
        let before = model.forward(x.clone());
        let changed = x.slice_assign([0..1, 0..2, 0..1, middle..middle + 1], Tensor::full([1, 2, 1, 1], 9.0, &device));
        let differences: Vec<f32> = (model.forward(changed) - before).abs().sum_dim(1).into_data().iter().collect();
        let farthest = (0..300usize).filter(|&x| differences[x] > 0.0).map(|x| x.abs_diff(middle)).max().unwrap();
        let near = config.layer == LayerKind::Njet || 2 * farthest >= reach;
        assert!(farthest > 0 && farthest <= reach && near, "{farthest} of {reach}");
    }
}

/// Settings of a run, for the segmenter.
fn run_of(model: UNetConfig) -> SegmentationConfig {
    let mask = vec![0, 1, 2, 3];
    let scene = njet::segmentation::data::Scene { image: vec![0; 8], mask, channels: 2, height: 2, width: 2 };
    let scenes = || vec![scene.clone()].into();
    let classes = (0..4).map(|class| class.to_string()).collect();
    let set = SegmentationSet {
        name: "here".to_owned(),
        classes,
        channels: 2,
        train: scenes(),
        val: scenes(),
        test: scenes(),
    };
    let mut config = SegmentationConfig::new(&set).unwrap();
    config.model = model;
    config.data.normalisation = Normalisation { mean: 0.5, std: 0.3 };
    config
}

fn picture(height: usize, width: usize) -> Image<'static> {
    let pixels = (0..2 * height * width).map(|i| (i * i * 31 % 251) as u8).collect::<Vec<u8>>();
    Image { pixels: pixels.into(), channels: 2, height, width }
}

#[test]
fn tiles_give_what_the_whole_image_gives() {
    let device = Device::flex();
    let njet = LayerSettings { sigma: 0.6, ..LayerSettings::default() };
    let reflected = LayerSettings { padding_mode: PaddingMode::Reflect, ..njet };
    let pooled = UNetConfig { njet, ..forms()[2].clone() };
    for config in [UNetConfig { njet: reflected, ..pooled.clone() }, pooled, forms()[1].clone()] {
        let config = run_of(config);
        let model = drawn(&config.model, &device).valid();
        for [height, width] in [[150, 333], [401, 90]] {
            let image = picture(height, width);
            let whole = Segmenter::new(&config, &model, &device);
            let [tile] = &whole.tiles([height, width]).unwrap()[..] else { panic!("one tile") };
            let expected = whole.logits(&image, tile);
            let cut = Segmenter::new(&config, &model, &device).with_tile_pixels(100 * 100);
            let tiles = cut.tiles([height, width]).unwrap();
            assert!(tiles.len() > 1);
            for tile in &tiles {
                let [rows, columns] = tile.kept.clone();
                let there = expected.clone().slice_dim(2, rows).slice_dim(3, columns);
                let difference = (cut.logits(&image, tile) - there).abs().max().into_scalar::<f32>();
                assert!(difference <= 1e-4, "{tile:?}: {difference}");
            }
            assert_eq!(cut.mask(&image).unwrap(), whole.mask(&image).unwrap());
            // And so does an average over sizes, which is another answer.
            let [whole_too, cut] = [Segmenter::new(&config, &model, &device), cut].map(|it| it.also_at(&[0.7, 0.4]));
            assert_eq!(cut.mask(&image).unwrap(), whole_too.mask(&image).unwrap());
            assert_ne!(whole_too.mask(&image).unwrap(), whole.mask(&image).unwrap());
            // What the network sees are the samples of all channels, normalised.
            let samples: Vec<f32> = image.pixels.iter().map(|&v| (f32::from(v) / 255.0 - 0.5) / 0.3).collect();
            let x = Tensor::<1>::from_floats(samples.as_slice(), &device).reshape([1, 2, height, width]);
            let difference = (model.forward(x) - expected).abs().max().into_scalar::<f32>();
            assert!(difference <= 1e-4, "{difference}");
            // An image that just fits is one tile.
            let fits = Segmenter::new(&config, &model, &device).with_tile_pixels(height * width);
            assert_eq!(fits.tiles([height, width]).unwrap().len(), 1);
        }
    }
}

#[test]
fn an_answer_that_is_no_number_makes_no_mask() {
    let device = Device::flex();
    let config = run_of(forms()[2].clone());
    let mut model = drawn(&config.model, &device).valid();
    model.head.weight = burn::module::Param::from_tensor(model.head.weight.val() * f32::NAN);
    for sizes in [&[][..], &[0.5]] {
        let segmenter = Segmenter::new(&config, &model, &device).also_at(sizes);
        assert_eq!(segmenter.mask(&picture(9, 9)).unwrap_err(), TileError::NotFinite, "{sizes:?}");
    }
}

/// Every figure by its definition, on scenes of several sizes that are cut into tiles.
#[test]
fn an_evaluation_is_made_of_its_figures() {
    let device = Device::flex();
    let njet = LayerSettings { sigma: 0.6, ..LayerSettings::default() };
    let mut config = run_of(shallow(UNetConfig { njet, channels: 1, ..forms()[2].clone() }));
    config.loss = Loss { dice: 0.0, ..Loss::default() };
    let model = drawn(&config.model, &device).valid();
    let scene = |height: usize, width: usize, ignored: usize| {
        let image = (0..height * width).map(|i| (i * i * 31 % 251) as u8).collect();
        let class = |i: usize| if i < ignored { 255 } else { (i / 5 % 7 + i / width / 4) as u8 % 3 };
        Scene { image, mask: (0..height * width).map(class).collect(), channels: 1, height, width }
    };
    let list = [scene(150, 40, 2500), scene(11, 5, 0)];
    let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let segmenter = Segmenter::new(&config, &model, &device);
    let cut = Segmenter::new(&config, &model, &device).with_tile_pixels(32 * 32);
    assert!(cut.tiles([150, 40]).unwrap().len() > 1);
    let mut told = Vec::new();
    let scenes: Scenes = list.to_vec().into();
    let found = evaluate_scenes(&cut, &config.loss, &scenes, &names, &device, &mut |done| told.push(done)).unwrap();

    let (mut confusion, mut boundary, mut sizes) = (Confusion::new(4), BoundaryF1::new(4, 2.0), SizeIou::new());
    let (mut loss, mut pixels) = (0.0, 0);
    for Scene { image, mask, height, width, .. } in &list {
        let image = Image { pixels: image.into(), channels: 1, height: *height, width: *width };
        let prediction = segmenter.mask(&image).unwrap();
        confusion.add(&prediction, mask);
        boundary.add(&prediction, mask, [*height, *width]);
        let scene =
            Scene { image: vec![0; mask.len()], mask: mask.clone(), channels: 1, height: *height, width: *width };
        sizes.add(&prediction, mask, &Objects::of_mask(&scene, Some(0)), [*height, *width]);
        let counted = mask.iter().filter(|&&class| class != 255).count();
        let target: Vec<i32> = mask.iter().map(|&class| i32::from(class)).collect();
        let target = Tensor::<1, Int>::from_ints(target.as_slice(), &device).reshape([1, *height, *width]);
        let whole = segmenter.logits(&image, &segmenter.tiles([*height, *width]).unwrap()[0]);
        loss += counted as f64 * f64::from(config.loss.forward(whole, target).into_scalar::<f32>());
        pixels += counted;
    }
    assert_eq!((found.count, told), (2, vec![1, 2]));
    assert!((found.loss - loss / pixels as f64).abs() < 1e-4, "{} instead of {}", found.loss, loss / pixels as f64);
    let figures = [found.accuracy, found.miou, found.mean_dice, found.boundary_f1.unwrap()];
    let expected = [confusion.pixel_accuracy(), confusion.miou(), confusion.mean_dice(), boundary.mean()];
    assert_eq!(figures.map(Some), expected);
    let named =
        |values: Vec<Option<f64>>| names.iter().cloned().zip(values).filter_map(|(n, v)| Some((n, v?))).collect();
    assert_eq!((found.iou, found.dice), (named(confusion.iou()), named(confusion.dice())));
    assert_eq!(found.size_unit, Some(SizeUnit::Pixels));
    let edges: Vec<f64> = (0..16).map(|octave| f64::from(octave).exp2()).collect();
    let ranges: Vec<_> = sizes.by_size(&edges).into_iter().filter(|range| range.count > 0).collect();
    assert_eq!(found.by_size, ranges);
    assert!(ranges.len() > 1 && ranges.iter().map(|range| range.count).sum::<usize>() == sizes.objects().len());

    // Composed scenes know their objects, and how many times as large they were made.
    let set = "scenes?canvas=40&largest=1&train=1&val=1&test=3".parse::<Composition>().unwrap().load().unwrap();
    let mut config = run_of(UNetConfig { classes: 11, ..config.model.clone() });
    config.loss = Loss::default();
    let model = drawn(&config.model, &device).valid();
    let segmenter = Segmenter::new(&config, &model, &device);
    let found = evaluate_scenes(&segmenter, &config.loss, &set.test, &set.classes, &device, &mut |_| {}).unwrap();
    let objects: usize = (0..3).map(|i| set.test.objects(i).unwrap().list.len()).sum();
    assert_eq!(found.size_unit, Some(SizeUnit::Factor));
    assert_eq!(found.by_size.iter().map(|range| range.count).sum::<usize>(), objects);
    assert!(found.by_size.iter().all(|range| (-1.0..=0.0).contains(&(range.from * range.to).sqrt().log2().round())
        && (range.to / range.from - 2.0).abs() < 1e-12
        && ((range.from * range.to).sqrt().log2() % 1.0).abs() < 1e-12));
}

#[test]
fn what_cannot_be_cut_is_refused_with_the_reason() {
    let device = Device::flex();
    let vast = [50_000, 50_000];
    let refusal = |config: UNetConfig| {
        let config = run_of(config);
        let model = drawn(&config.model, &device).valid();
        Segmenter::new(&config, &model, &device).tiles(vast).unwrap_err()
    };
    let [safe, _, pooled] = forms();
    let error = refusal(safe);
    assert!(matches!(error, TileError::RealStrides { size, .. } if size == vast));
    assert!(error.to_string().contains("about the centre of what is seen"), "{error}");
    // Nine arrays of four channels of f32 at the full size, the largest that there are: the logits.
    assert!(error.to_string().contains("50000×50000 pixels would take about 360 GB"), "{error}");
    let circular = LayerSettings { padding_mode: PaddingMode::Circular, ..LayerSettings::default() };
    assert!(matches!(refusal(UNetConfig { njet: circular, ..pooled.clone() }), TileError::Circular { .. }));
    let far = LayerSettings { sigma: 300.0, ..LayerSettings::default() };
    let error = refusal(UNetConfig { njet: far, ..pooled });
    assert!(error.to_string().contains("pixels to each side"), "{error}");
}

#[test]
fn settings_that_make_no_network_are_refused() {
    let new = || UNetConfig::new(1, 2);
    let sharing = LayerSettings { sharing: SigmaSharing::Input, ..LayerSettings::default() };
    for (config, words) in [
        (UNetConfig { subsampling: Subsampling::None, ..new() }, "not none"),
        (UNetConfig { widths: vec![9], ..new() }, "the number of steps of a U-Net is 0: it must be from 1 to 8"),
        (UNetConfig { widths: vec![], ..new() }, "the number of steps of a U-Net is 0"),
        (UNetConfig { widths: vec![1, 9999, 1, 1], ..new() }, "a number of channels of a U-Net is 9999"),
        (UNetConfig { convolutions: vec![1, 0, 1, 1], ..new() }, "a number of convolutions of a U-Net is 0"),
        (UNetConfig { convolutions: vec![1, 1], ..new() }, "for 4 resolutions and its convolutions for 2"),
        (UNetConfig { up: Some(vec![]), ..new() }, "for 0 steps: give 1 to 3 numbers for 3 steps down"),
        (UNetConfig { up: Some(vec![1; 4]), ..new() }, "for 4 steps: give 1 to 3"),
        (UNetConfig { up: Some(vec![0, 65]), ..new() }, "after a step up of a U-Net is 65"),
        (UNetConfig { up: Some(vec![1]), subsampling: Subsampling::Safe, ..new() }, "for 1 steps: give 3 numbers"),
        (UNetConfig { deep_supervision: -1.0, ..new() }, "lower resolutions is -1"),
        (UNetConfig { classes: 1, ..new() }, "two classes"),
        (UNetConfig { subsampling: Subsampling::Safe, layer: LayerKind::Conv, ..new() }, "plain convolutions has none"),
        (UNetConfig { subsampling: Subsampling::Safe, njet: sharing, ..new() }, "not by input"),
        (UNetConfig { njet: LayerSettings { order: 11, ..LayerSettings::default() }, ..new() }, "layer down0.conv1"),
    ] {
        let error: ModelError = config.init(&Device::flex()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}
