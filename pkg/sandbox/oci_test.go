// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readTar(t *testing.T, raw []byte) map[string][]byte {
	t.Helper()
	files, reader := map[string][]byte{}, tar.NewReader(bytes.NewReader(raw))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if header.Linkname != "" {
			content = []byte("-> " + header.Linkname)
		}
		files[header.Name] = content
	}
}

func testImage(t *testing.T) []byte {
	t.Helper()
	root, err := newRootfs(filepath.Join(t.TempDir(), "root"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(root.write("bin/hello", []byte("hi"), 0o755), root.link("hello", "bin/sh")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeOCI(&out, root.dir, image{names: []string{"example.com/a:1", "example.com/b:2"}, entrypoint: []string{"/bin/hello"}}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode[T any](t *testing.T, raw []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOCILayout(t *testing.T) {
	files := readTar(t, testImage(t))
	blob := func(d ociDescriptor) []byte {
		content, ok := files["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
		sum := sha256.Sum256(content)
		if !ok || int64(len(content)) != d.Size || "sha256:"+hex.EncodeToString(sum[:]) != d.Digest {
			t.Fatalf("blob does not match its descriptor %+v", d)
		}
		return content
	}
	if string(files["oci-layout"]) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout: %s", files["oci-layout"])
	}
	index := decode[ociIndex](t, files["index.json"])
	if len(index.Manifests) != 2 || index.Manifests[1].Annotations["io.containerd.image.name"] != "example.com/b:2" {
		t.Errorf("index: %+v", index)
	}
	manifest := decode[ociManifest](t, blob(index.Manifests[0]))
	config := decode[ociConfig](t, blob(manifest.Config))
	layer := blob(manifest.Layers[0])
	if config.RootFS.DiffIDs[0] != manifest.Layers[0].Digest || config.Config.Entrypoint[0] != "/bin/hello" {
		t.Errorf("config: %+v", config)
	}
	tree := readTar(t, layer)
	if string(tree["bin/hello"]) != "hi" || string(tree["bin/sh"]) != "-> hello" {
		t.Errorf("layer: %v", tree)
	}
	if _, ok := tree["tmp/"]; !ok {
		t.Error("the layer has no /tmp")
	}
}

func TestEqualTreesMakeEqualImages(t *testing.T) {
	if !bytes.Equal(testImage(t), testImage(t)) {
		t.Error("two images with the same content differ")
	}
}

func TestResolveIn(t *testing.T) {
	root := t.TempDir()
	if err := makeDir(filepath.Join(root, "usr/lib/x")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "usr/lib/x/real.so"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"lib": "usr/lib", "usr/lib/x/rel.so": "real.so", "usr/lib/abs.so": "/lib/x/real.so", "usr/up.so": "../../../usr/lib/x/real.so",
		"loop": "loop", "gone": "/nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"usr/lib/x/real.so", "lib/x/real.so", "lib/x/rel.so", "/usr/lib/abs.so", "usr/up.so"} {
		if got, err := resolveIn(root, name); err != nil || got != "usr/lib/x/real.so" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"loop", "gone", "etc/passwd"} {
		if got, err := resolveIn(root, name); err == nil {
			t.Errorf("%s resolves to %q", name, got)
		}
	}
}

func TestELFNeeds(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := elfNeeds(self); err != nil {
		t.Error(err)
	}
	if _, err := elfNeeds("oci_test.go"); err == nil {
		t.Error("a text file counts as a program")
	}
}
