// SPDX-License-Identifier: Apache-2.0

package cniserver_test

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/cniserver"
	"github.com/wovensdn/woven/pkg/cniserver/api"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestSocketIsForRootOnly(t *testing.T) {
	b := start(t, nil)
	if code, _ := b.post(t, api.PathStatus, struct{}{}); code != http.StatusNoContent {
		t.Fatal(code)
	}
	if m := mode(t, b.socket); m != fs.ModeSocket|0o600 {
		t.Errorf("socket has mode %v", m)
	}
	if m := mode(t, filepath.Dir(b.socket)); m != fs.ModeDir|0o700 {
		t.Errorf("directory has mode %v", m)
	}
}

func TestSharedDirectoryKeepsItsMode(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := start(t, func(c *cniserver.Config) { c.Socket = filepath.Join(dir, "cni.sock") })
	if code, _ := b.post(t, api.PathStatus, struct{}{}); code != http.StatusNoContent {
		t.Fatal(code)
	}
	if m := mode(t, dir); m.Perm() != 0o755 {
		t.Errorf("directory has mode %v", m)
	}
	if m := mode(t, b.socket); m != fs.ModeSocket|0o600 {
		t.Errorf("socket has mode %v", m)
	}
}

func TestOtherUsersAreRefused(t *testing.T) {
	b := start(t, func(c *cniserver.Config) { c.AllowedUIDs = []uint32{uint32(os.Geteuid()) + 1} })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://cniserver"+api.PathStatus, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("got %s, want a closed connection", resp.Status)
	}
	if ctx.Err() != nil {
		t.Fatalf("the connection was not closed: %v", err)
	}
}

func run(t *testing.T, socket string) error {
	t.Helper()
	s, err := cniserver.New(cniserver.Config{
		Socket: socket, Pods: pods(known), Plumber: plumber{}, Registerer: prometheus.NewRegistry(), Clock: clock.RealClock{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(t.Context())
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cni.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil { // as after a kill
		t.Fatal(err)
	}
	b := start(t, func(c *cniserver.Config) { c.Socket = path })
	if code, _ := b.post(t, api.PathStatus, struct{}{}); code != http.StatusNoContent {
		t.Fatal(code)
	}
	// A second server must not replace the socket of a running one.
	if err := run(t, path); err == nil || !strings.Contains(err.Error(), "another server is listening on it") {
		t.Fatalf("got %v", err)
	}
	if code, _ := b.post(t, api.PathStatus, struct{}{}); code != http.StatusNoContent {
		t.Fatal(code)
	}
}

func TestInvalidSocketPaths(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                            "exists and is not a socket",
		"relative.sock":                 "want an absolute path",
		"/" + strings.Repeat("a", 120):  "of at most 107 characters",
		filepath.Join(file, "cni.sock"): "create directory",
	} {
		if err := run(t, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}
