//! One picture.

use std::fs;

use phalanx::image::{Format, probe};

use crate::album::{image, inode, made, names, run};
use crate::harness::pictures::{cmyk_jpeg, jpeg, png_16_bit, rotated_jpeg};
use crate::runs::{Folder, ended, fed};

#[test]
fn nothing_asked_is_800_pixels_wide_and_a_jpeg_and_silent() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(1600, 1000));
    assert_eq!(run(&folder, "photo.jpg small").succeeded(), b"");
    assert_eq!(made(&folder, "small"), (800, 500, Format::Jpeg));
}

#[test]
fn the_extension_says_the_format_and_a_flag_wins() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(160, 100));
    for (line, name, format) in [
        ("photo.jpg a.webp", "a.webp", Format::WebP),
        ("photo.jpg a.PNG", "a.PNG", Format::Png),
        ("photo.jpg a.jpeg", "a.jpeg", Format::Jpeg),
        ("photo.jpg b.png --format webp", "b.png", Format::WebP),
        ("photo.jpg c.gif -f png", "c.gif", Format::Png),
    ] {
        run(&folder, line).succeeded();
        assert_eq!(made(&folder, name), (160, 100, format), "{line}");
    }
    run(&folder, "photo.jpg d.gif").is_one_line(2, &[".gif", "jpg, png and webp", "--help"]);
    assert!(!folder.path("d.gif").exists());
}

#[test]
fn auto_is_png_for_what_is_transparent() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(160, 100));
    folder.write("glass.png", png_16_bit(60, 40));
    fs::create_dir(folder.path("out")).unwrap();
    for name in ["photo.jpg", "glass.png"] {
        run(&folder, &format!("{name} out --format auto")).succeeded();
    }
    assert_eq!(names(&folder, "out"), ["glass.png", "photo.jpg"]);
}

#[test]
fn every_flag_has_its_effect() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(1600, 1200));
    for (flags, size) in [
        ("-w 300", (300, 225)),
        ("-h 300", (400, 300)),
        ("--width 256 --height 256 --fit cover", (256, 256)),
        ("-w 200 -h 100 --fit contain --bg f80", (200, 100)),
        ("-w 200 -h 100 --fit fill", (200, 100)),
        ("-w 100 --dpr 2", (200, 150)),
        ("-w 100 --rotate 90", (100, 133)),
        ("-w 2000", (1600, 1200)),
        ("-w 2000 --enlarge", (2000, 1500)),
        ("--original-size --flip --flop", (1600, 1200)),
    ] {
        run(&folder, &format!("photo.jpg out.jpg --force {flags}")).succeeded();
        assert_eq!(made(&folder, "out.jpg"), (size.0, size.1, Format::Jpeg), "{flags}");
    }
    let bytes = |quality: &str| {
        run(&folder, &format!("photo.jpg out.jpg --force -q {quality}")).succeeded();
        folder.read("out.jpg").len()
    };
    assert!(bytes("30") < bytes("90"));
}

#[test]
fn it_comes_out_upright_and_in_common_colours() {
    let folder = Folder::new();
    folder.write("turned.jpg", rotated_jpeg(160, 100));
    folder.write("inks.jpg", cmyk_jpeg(60, 40));
    run(&folder, "turned.jpg a.jpg").succeeded();
    run(&folder, "inks.jpg b.jpg").succeeded();
    assert_eq!(made(&folder, "a.jpg"), (100, 160, Format::Jpeg));
    assert_eq!(made(&folder, "b.jpg"), (60, 40, Format::Jpeg));
}

#[test]
fn standard_input_becomes_standard_output() {
    let folder = Folder::new();
    let out = fed(image(&folder, "- - -w 100 --format png"), &jpeg(400, 300)).succeeded();
    let header = probe(&out).unwrap();
    assert_eq!((header.width, header.height, header.format), (100, 75, Format::Png));
    fed(image(&folder, "- small.webp -w 100"), &jpeg(400, 300)).succeeded();
    assert_eq!(made(&folder, "small.webp"), (100, 75, Format::WebP));
    fed(image(&folder, "- -"), b"no picture").is_one_line(1, &["standard input", "no JPEG, PNG, WebP or GIF"]);
    fed(image(&folder, "- ."), b"").is_one_line(2, &["folder", "name the file"]);
}

#[test]
fn an_output_that_is_there_is_kept_unless_forced() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(400, 300));
    folder.write("out.jpg", "precious");
    run(&folder, "photo.jpg out.jpg").is_one_line(1, &["photo.jpg", "out.jpg", "there already", "--force"]);
    assert_eq!(folder.read("out.jpg"), b"precious");
    run(&folder, "photo.jpg out.jpg --force -w 100").succeeded();
    assert_eq!(made(&folder, "out.jpg"), (100, 75, Format::Jpeg));
}

#[test]
fn an_output_that_ends_in_a_slash_is_a_folder_and_is_made() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(400, 300));
    run(&folder, "photo.jpg out/small/ --format webp").succeeded();
    assert_eq!(names(&folder, "out/small"), ["photo.webp"]);
}

#[test]
fn the_input_is_never_written_whatever_its_name() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(400, 300));
    fs::hard_link(folder.path("photo.jpg"), folder.path("hard.jpg")).unwrap();
    std::os::unix::fs::symlink("photo.jpg", folder.path("soft.jpg")).unwrap();
    let before = inode(&folder, "photo.jpg");
    for line in
        ["photo.jpg photo.jpg", "photo.jpg ./photo.jpg", "photo.jpg hard.jpg", "photo.jpg soft.jpg", "photo.jpg ."]
    {
        run(&folder, &format!("{line} --force")).is_one_line(1, &["is an input", "another"]);
    }
    assert_eq!(inode(&folder, "photo.jpg"), before);
}

#[test]
fn json_tells_what_became_of_it() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(400, 300));
    let told = |line: &str| -> serde_json::Value {
        let ran = run(&folder, line);
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    };
    let made = told("photo.jpg small.webp -w 100 --json");
    assert_eq!(
        (&made["outcome"], &made["from"], &made["to"]),
        (&"made".into(), &"photo.jpg".into(), &"small.webp".into())
    );
    assert_eq!((&made["width"], &made["height"], &made["format"]), (&100.into(), &75.into(), &"webp".into()));
    assert_eq!(made["bytes_before"], folder.read("photo.jpg").len());
    assert_eq!(made["bytes_after"], folder.read("small.webp").len());
    // The name of the format, as the server has it; not the extension.
    assert_eq!(told("photo.jpg small.jpg -w 100 --json")["format"], "jpeg");
    let failed = told("nothing.jpg none.jpg --json");
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("cannot be read"), "{failed}");
}

#[test]
fn standard_output_that_nobody_reads_is_141_without_a_word() {
    let folder = Folder::new();
    folder.write("photo.jpg", jpeg(1600, 1200));
    let mut shell = folder.program("bash");
    shell.args(["-c", "\"$0\" image photo.jpg - --original-size -q 100 | true; echo ${PIPESTATUS[0]}"]);
    let ran = ended({
        shell.arg(env!("CARGO_BIN_EXE_phalanx"));
        shell
    });
    // `true` may have read nothing before it ended, or the pipe took all.
    assert!(matches!(ran.stdout.trim_ascii(), b"141" | b"0"), "{ran:?}");
    assert_eq!(ran.stderr, "");
}
