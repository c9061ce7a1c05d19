// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// image is one container image with a single layer.
type image struct {
	names      []string // full references; errors name the first
	entrypoint []string
	cmd        []string
}

const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type ociDescriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *ociPlatform      `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type ociPlatform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type ociManifest struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Config        ociDescriptor   `json:"config"`
	Layers        []ociDescriptor `json:"layers"`
}

type ociIndex struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Manifests     []ociDescriptor `json:"manifests"`
}

type ociConfig struct {
	Created      time.Time     `json:"created"`
	Architecture string        `json:"architecture"`
	OS           string        `json:"os"`
	Config       ociRunConfig  `json:"config"`
	RootFS       ociRootFS     `json:"rootfs"`
	History      []ociHistoric `json:"history"`
}

type ociRunConfig struct {
	Env        []string `json:"Env"`
	Entrypoint []string `json:"Entrypoint,omitempty"`
	Cmd        []string `json:"Cmd,omitempty"`
	WorkingDir string   `json:"WorkingDir"`
}

type ociRootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type ociHistoric struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// epoch is the time stamp of everything in an image, so that equal content makes equal images.
var epoch = time.Unix(0, 0).UTC()

// writeOCI writes the file tree below root as an image in the OCI image layout (opencontainers/image-spec,
// image-layout.md), as a tar archive that containerd imports.
func writeOCI(out io.Writer, root string, img image) error {
	var layer bytes.Buffer
	if err := tarTree(&layer, root); err != nil {
		return fmt.Errorf("pack the layer of %s: %w", img.names[0], err)
	}
	archive := newOCIArchive(out)
	layerDesc, err := archive.blob(mediaLayer, layer.Bytes())
	if err != nil {
		return err
	}
	configDesc, err := archive.object(mediaConfig, ociConfig{
		Created: epoch, Architecture: runtime.GOARCH, OS: "linux",
		Config: ociRunConfig{
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Entrypoint: img.entrypoint, Cmd: img.cmd, WorkingDir: "/",
		},
		RootFS:  ociRootFS{Type: "layers", DiffIDs: []string{layerDesc.Digest}},
		History: []ociHistoric{{Created: epoch, CreatedBy: "woven-sandbox"}},
	})
	if err != nil {
		return err
	}
	manifest, err := archive.object(mediaManifest, ociManifest{SchemaVersion: 2, MediaType: mediaManifest, Config: configDesc, Layers: []ociDescriptor{layerDesc}})
	if err != nil {
		return err
	}
	return archive.finish(manifest, img.names)
}

type ociArchive struct{ tar *tar.Writer }

func newOCIArchive(out io.Writer) *ociArchive { return &ociArchive{tar: tar.NewWriter(out)} }

func (a *ociArchive) file(name string, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: epoch, Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("write %s into the image: %w", name, err)
	}
	if _, err := a.tar.Write(content); err != nil {
		return fmt.Errorf("write %s into the image: %w", name, err)
	}
	return nil
}

func (a *ociArchive) blob(mediaType string, content []byte) (ociDescriptor, error) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	err := a.file("blobs/sha256/"+digest, content)
	return ociDescriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: int64(len(content))}, err
}

func (a *ociArchive) object(mediaType string, value any) (ociDescriptor, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return ociDescriptor{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	return a.blob(mediaType, raw)
}

// finish writes the index: the same manifest once per name. Containerd names the imported image by the annotation
// io.containerd.image.name.
func (a *ociArchive) finish(manifest ociDescriptor, names []string) error {
	index := ociIndex{SchemaVersion: 2, MediaType: mediaIndex}
	for _, name := range names {
		entry := manifest
		entry.Platform = &ociPlatform{Architecture: runtime.GOARCH, OS: "linux"}
		entry.Annotations = map[string]string{
			"io.containerd.image.name":          name,
			"org.opencontainers.image.ref.name": name[strings.LastIndexByte(name, ':')+1:],
		}
		index.Manifests = append(index.Manifests, entry)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encode the image index: %w", err)
	}
	err = errors.Join(a.file("index.json", raw), a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), a.tar.Close())
	if err != nil {
		return fmt.Errorf("finish the image: %w", err)
	}
	return nil
}

// tarTree packs the tree below root: sorted, owned by root, without time stamps.
func tarTree(out io.Writer, root string) error {
	writer := tar.NewWriter(out)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		return tarEntry(writer, root, path, entry)
	})
	if err != nil {
		return fmt.Errorf("pack %s: %w", root, err)
	}
	return wrap(writer.Close(), "pack %s", root)
}

func tarEntry(writer *tar.Writer, root, path string, entry fs.DirEntry) error {
	header, err := tarHeader(root, path, entry)
	if err != nil {
		return err
	}
	if err := writer.WriteHeader(header); err != nil {
		return fmt.Errorf("write the header of %s: %w", path, err)
	}
	if header.Typeflag != tar.TypeReg {
		return nil
	}
	file, err := os.Open(path) // #nosec G304 -- the tree being packed
	if err != nil {
		return fmt.Errorf("open a file to pack: %w", err)
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(writer, file)
	return wrap(err, "pack %s", path)
}

func tarHeader(root, path string, entry fs.DirEntry) (*tar.Header, error) {
	info, err := entry.Info()
	if err != nil {
		return nil, fmt.Errorf("stat a file to pack: %w", err)
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return nil, fmt.Errorf("read a link to pack: %w", err)
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return nil, fmt.Errorf("create the header of %s: %w", path, err)
	}
	if header.Name, err = filepath.Rel(root, path); err != nil {
		return nil, fmt.Errorf("find the archive path of %s: %w", path, err)
	}
	if info.IsDir() {
		header.Name += "/"
	}
	header.ModTime, header.AccessTime, header.ChangeTime = epoch, time.Time{}, time.Time{}
	header.Uid, header.Gid, header.Uname, header.Gname, header.Format = 0, 0, "", "", tar.FormatPAX
	return header, nil
}
