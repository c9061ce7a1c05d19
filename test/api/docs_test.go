// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// notInstalled begins the HTML comment before a manifest whose kind the test's API server does not serve.
const notInstalled = "<!-- not installed:"

// manifest is a fenced block of YAML in a Markdown file.
type manifest struct {
	file string // relative to the root of the repository
	line int    // of the fence
	text string
	skip bool // it follows a comment that begins with notInstalled
}

// TestDocumentedManifests: a user can paste every manifest of the documentation into "kubectl apply -f -".
func TestDocumentedManifests(t *testing.T) {
	manifests := documentedManifests(t)
	s := Start(t)
	s.InstallCRDs()
	c := createLate(t, s, s.Client(Admin), clusterPolicyCRD(t))
	for _, m := range manifests {
		if m.skip {
			continue
		}
		t.Run(fmt.Sprintf("%s:%d", m.file, m.line), func(t *testing.T) {
			objects, err := decodeText([]byte(m.text))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects {
				dryRun(t, c, o)
			}
		})
	}
}

// dryRun sends an object as "kubectl apply --server-side --dry-run=server" does, into a namespace that exists.
// Server-side apply refuses fields that the kind does not have.
func dryRun(t *testing.T, c client.Client, o *unstructured.Unstructured) {
	t.Helper()
	if name := o.GetNamespace(); name != "" {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := c.Create(t.Context(), namespace); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	Eventually(t, o.GetKind()+" "+o.GetName()+" is accepted", startTime, func(ctx context.Context) error {
		err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.DryRunAll, client.FieldOwner("docs"))
		if err != nil && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) { // the kind is not served yet
			t.Fatal(err)
		}
		return err
	})
}

// documentedManifests finds the blocks of README.md and of every Markdown file below docs.
func documentedManifests(t *testing.T) []manifest {
	t.Helper()
	root, err := sandbox.FindSource()
	if err != nil {
		t.Fatal(err)
	}
	files := []string{filepath.Join(root, "README.md")}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []manifest
	for _, file := range files {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, manifestsIn(name, string(text))...)
	}
	if len(all) == 0 {
		t.Fatal("there is no manifest in README.md and docs")
	}
	return all
}

// manifestsIn finds the blocks of one file: "```yaml" to "```", at the beginning of a line.
func manifestsIn(file, text string) (all []manifest) {
	var block *manifest
	previous := ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case block == nil && line == "```yaml":
			block = &manifest{file: file, line: i + 1, skip: strings.HasPrefix(previous, notInstalled)}
		case block != nil && line == "```":
			all = append(all, *block)
			block = nil
		case block != nil:
			block.text += line + "\n"
		}
		if strings.TrimSpace(line) != "" {
			previous = line
		}
	}
	return all
}
