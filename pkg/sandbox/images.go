// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Images that are in every node. PauseImage holds a pod's namespaces; busybox and agnhost are for pods of tests and
// demos.
const (
	PauseImage   = "registry.k8s.io/pause:3.10.2"
	BusyboxImage = "docker.io/library/busybox:latest"
	// AgnhostImage has Kubernetes' test program agnhost and curl, dig, ping, ip, tcpdump, nc, iperf3 and a shell.
	AgnhostImage = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
	// CoreDNSImage is the cluster's DNS server; the version is that of hack/build/coredns.
	CoreDNSImage = "registry.k8s.io/coredns/coredns:v1.14.2"
)

const e2eImages = "registry.k8s.io/e2e-test-images/"

// imageRecipe is part of the artifact's inputs: increase it with every change of the images in this file.
const imageRecipe = "4"

// agnhostTools are the programs of the Debian root that go into the agnhost image.
var agnhostTools = []string{"arping", "bash", "curl", "dash", "dig", "getent", "ip", "iperf3", "nc.openbsd", "ncat", "ping", "tcpdump"}

func (b *builder) images(ctx context.Context, made Artifacts) (string, error) {
	return b.ensure(ctx, artifact{
		name: "images", expect: "pause, busybox, agnhost, coredns; about 5 s",
		inputs: strings.Join([]string{imageRecipe, filepath.Base(made.Kubernetes), filepath.Base(made.Root), filepath.Base(made.CoreDNS), AgnhostImage, CoreDNSImage}, "\x00"),
		produce: func(ctx context.Context, dir string) error {
			source, err := b.moduleSource(ctx, goPrograms[0])
			if err != nil {
				return err
			}
			work := filepath.Join(dir, "roots")
			if err := b.pauseImage(ctx, dir, work, source); err != nil {
				return fmt.Errorf("create the pause image: %w", err)
			}
			list, err := b.output(ctx, "", filepath.Join(made.Root, "usr/bin/busybox"), "--list")
			if err != nil {
				return fmt.Errorf("list the applets of busybox: %w", err)
			}
			applets := slices.DeleteFunc(strings.Fields(list), func(name string) bool { return name == "busybox" })
			if err := busyboxImage(dir, work, made, applets); err != nil {
				return fmt.Errorf("create the busybox image: %w", err)
			}
			if err := agnhostImage(dir, work, source, made, applets); err != nil {
				return fmt.Errorf("create the agnhost image: %w", err)
			}
			if err := corednsImage(dir, work, made); err != nil {
				return fmt.Errorf("create the coredns image: %w", err)
			}
			return os.RemoveAll(work)
		},
	})
}

func (b *builder) pauseImage(ctx context.Context, dir, work, source string) error {
	root := filepath.Join(work, "pause")
	if err := makeDir(root); err != nil {
		return err
	}
	code := filepath.Join(source, "build", "pause", "linux", "pause.c")
	if err := b.run(ctx, "", nil, "gcc", "-Os", "-s", "-static", "-DVERSION=3.10.2", "-o", filepath.Join(root, "pause"), code); err != nil {
		return err
	}
	return writeImage(filepath.Join(dir, "pause.tar"), root, image{names: []string{PauseImage}, entrypoint: []string{"/pause"}})
}

// busyboxRoot is a root file system with Debian's static busybox and a link for each of its applets.
func busyboxRoot(dir, debian string, applets []string) (rootfs, error) {
	root, err := newRootfs(dir)
	if err != nil {
		return root, err
	}
	if err := root.copy(filepath.Join(debian, "usr/bin/busybox"), "bin/busybox", 0o755); err != nil {
		return root, err
	}
	for _, applet := range applets {
		if err := root.link("busybox", "bin/"+applet); err != nil {
			return root, err
		}
	}
	return root, nil
}

func busyboxImage(dir, work string, made Artifacts, applets []string) error {
	root, err := busyboxRoot(filepath.Join(work, "busybox"), made.Root, applets)
	if err != nil {
		return err
	}
	names := []string{BusyboxImage, e2eImages + "busybox:1.37.0-1", e2eImages + "busybox:1.36.1-1"}
	return writeImage(filepath.Join(dir, "busybox.tar"), root.dir, image{names: names, cmd: []string{"sh"}})
}

func agnhostImage(dir, work, source string, made Artifacts, applets []string) error {
	root, err := busyboxRoot(filepath.Join(work, "agnhost"), made.Root, applets)
	if err != nil {
		return err
	}
	for _, tool := range agnhostTools {
		if err := root.addProgram(made.Root, tool); err != nil {
			return err
		}
	}
	// busybox's own shell prefers its applets to programs in PATH, so the image's shell is dash.
	for name, target := range map[string]string{"bin/sh": "dash", "bin/nc": "nc.openbsd", "agnhost-2": "agnhost"} {
		if err := root.link(target, name); err != nil {
			return err
		}
	}
	for _, lib := range []string{"libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"} {
		at, err := findLibrary(made.Root, nil, lib)
		if err != nil {
			return err
		}
		if err := root.addLibrary(made.Root, at, map[string]bool{}); err != nil {
			return err
		}
	}
	if err := root.copy(filepath.Join(made.Kubernetes, "agnhost"), "agnhost", 0o755); err != nil {
		return err
	}
	// Some specs run CoreDNS from this image.
	if err := root.copy(filepath.Join(made.CoreDNS, "coredns"), "coredns", 0o755); err != nil {
		return err
	}
	for _, name := range []string{"localhost.crt", "localhost.key"} {
		if err := root.copy(filepath.Join(source, "test/images/agnhost/porter", name), name, 0o644); err != nil {
			return err
		}
	}
	names := []string{AgnhostImage, e2eImages + "agnhost:2.55", e2eImages + "agnhost:2.45", e2eImages + "glibc-dns-testing:2.0.0"}
	return writeImage(filepath.Join(dir, "agnhost.tar"), root.dir, image{names: names, entrypoint: []string{"/agnhost"}, cmd: []string{"pause"}})
}

func corednsImage(dir, work string, made Artifacts) error {
	root, err := newRootfs(filepath.Join(work, "coredns"))
	if err != nil {
		return err
	}
	if err := root.copy(filepath.Join(made.CoreDNS, "coredns"), "coredns", 0o755); err != nil {
		return err
	}
	return writeImage(filepath.Join(dir, "coredns.tar"), root.dir, image{names: []string{CoreDNSImage}, entrypoint: []string{"/coredns"}})
}

// programImage creates the image of a program in dir that needs no other files.
func programImage(dir, program string, img image) error {
	work := filepath.Join(dir, "root-"+program)
	root, err := newRootfs(work)
	if err != nil {
		return err
	}
	if err := root.copy(filepath.Join(dir, program), program, 0o755); err != nil {
		return err
	}
	if err := writeImage(filepath.Join(dir, program+".tar"), root.dir, img); err != nil {
		return err
	}
	return wrap(os.RemoveAll(work), "remove the root of an image")
}

func writeImage(file, root string, img image) error {
	out, err := os.Create(file) // #nosec G304 -- in the cache
	if err != nil {
		return fmt.Errorf("create image file: %w", err)
	}
	defer func() { _ = out.Close() }()
	buffered := bufio.NewWriter(out)
	if err := writeOCI(buffered, root, img); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return wrap(out.Close(), "write %s", file)
}
