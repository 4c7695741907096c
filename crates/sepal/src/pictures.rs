//! From what the user typed to a list of picture files.

use std::io::BufRead;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use sepal_data::is_picture_name;

use crate::failure::{Failure, Result};

/// Folders within folders are followed this far: a link that leads round in circles must end.
const MAX_DEPTH: usize = 32;

/// Files, folders (all pictures in them and below), patterns and `-` (a list on standard input), in the order given;
/// within a folder or pattern by name. A file that does not exist stays in the list, to be reported when it is read.
pub(crate) fn expand(words: &[String]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for word in words {
        let path = Path::new(word);
        if word == "-" {
            for line in std::io::stdin().lock().lines() {
                let line = line?;
                paths.extend(Some(PathBuf::from(line.trim())).filter(|path| !path.as_os_str().is_empty()));
            }
        } else if path.is_dir() {
            let before = paths.len();
            below(path, 0, &mut |file| paths.extend(Some(file).filter(|file| is_picture_name(file))))?;
            if paths.len() == before {
                return Err(Failure::failed(format!(
                    "{word}: the folder holds no picture (jpg, jpeg, png, bmp, gif, webp)"
                )));
            }
        } else if word.contains(['*', '?', '[']) && !path.exists() {
            let before = paths.len();
            let (root, glob) = pattern(word)?;
            below(&root, 0, &mut |file| paths.extend(Some(file).filter(|file| glob.is_match(file))))?;
            if paths.len() == before {
                return Err(Failure::failed(format!("no file matches '{word}'")));
            }
        } else {
            paths.push(path.to_owned());
        }
    }
    if paths.is_empty() {
        return Err(Failure::failed("the list on standard input names no picture"));
    }
    Ok(paths)
}

/// The folder where a pattern begins to be one, and its matcher.
fn pattern(word: &str) -> Result<(PathBuf, GlobMatcher)> {
    let wild = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let root: PathBuf = Path::new(word).components().take_while(|part| !wild(part)).collect();
    // Folders are read as `./x`, so that their files' paths start as the pattern does only if it has a start.
    let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
    let text = if root == Path::new(".") && !word.starts_with("./") { format!("./{word}") } else { word.to_owned() };
    let glob = GlobBuilder::new(&text).literal_separator(true).build();
    let glob = glob.map_err(|error| Failure::usage(format!("'{word}' is no pattern: {error}")))?;
    Ok((root, glob.compile_matcher()))
}

/// Calls `take` with every visible file in `folder` and below, by name.
fn below(folder: &Path, depth: usize, take: &mut dyn FnMut(PathBuf)) -> Result {
    let fail = |error: std::io::Error| Failure::from(error).context(folder.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        entries.push(entry.map_err(fail)?.path());
    }
    entries.sort_unstable();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        match entry.is_dir() {
            _ if hidden => {}
            true if depth < MAX_DEPTH => below(&entry, depth + 1, take)?,
            true => {}
            false => take(entry),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_patterns_and_files() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        for name in ["b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "sub/c.jpg"] {
            std::fs::write(at(name), "").unwrap();
        }
        let words = |list: &[PathBuf]| list.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        let all = expand(&words(&[dir.path().to_owned()])).unwrap();
        assert_eq!(all, [at("a.PNG"), at("b.jpg"), at("sub/c.jpg")]);
        assert_eq!(expand(&words(&[at("*.jpg"), at("none.jpg")])).unwrap(), [at("b.jpg"), at("none.jpg")]);
        assert_eq!(expand(&words(&[at("**/*.jpg")])).unwrap(), [at(".hidden.jpg"), at("b.jpg"), at("sub/c.jpg")][1..]);
        for wrong in [at("*.gif"), at("[")] {
            assert!(expand(&words(&[wrong])).is_err());
        }
    }
}
