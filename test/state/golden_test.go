// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/test/nbtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compiles the objects of each testdata/golden/*.yaml, as they would be applied with kubectl, and compares
// the northbound database, what was written to the API server and the problems with the .txt beside it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			b := newModelHarness(t)
			for _, ch := range b.read(file) {
				b.parsed[ch.Ref] = ch.Problems
				if ch.Object != nil {
					b.objects[ch.Ref] = ch.Object
				}
				if err := b.core.Apply(ch); err != nil {
					t.Fatal(err)
				}
			}
			b.converge()
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", b.dump())
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (rewrite it with -update and read the difference):\n%s", file, nbtest.Diff(string(want), got))
	}
}

// dump is all output of the controller as text.
func (b *harness) dump() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# northbound database\n%s\n# addresses\n", dump(b.db))
	for _, r := range sortedRefs(b.objects) {
		if ip, ok := b.objects[r].(*model.IP); ok {
			fmt.Fprintf(&out, "%s %s %s %s", ip.Name, ip.Subnet, model.AddrsText(ip.Addrs), ip.MAC)
			if ip.PodType != "" {
				fmt.Fprintf(&out, " on %s, kept for the %s of UID %s", ip.NodeName, ip.PodType, ip.OwnerUID)
			}
			out.WriteByte('\n')
		}
	}
	b.namespaces(&out)
	out.WriteString("\n# problems that users see\n")
	for _, r := range sortedRefs(b.reports) {
		report := b.reports[r]
		if report.Programmed && len(report.Problems) == 0 {
			fmt.Fprintf(&out, "%s ready\n", r)
		}
		for _, p := range report.Problems {
			fmt.Fprintf(&out, "%s %s: %s\n", r, p.Reason, p.Error())
		}
	}
	return out.String()
}

// namespaces is what the controller wrote on namespaces, and the Subnets that it made for them.
func (b *harness) namespaces(out *strings.Builder) {
	var lines []string
	for _, r := range sortedRefs(b.objects) {
		switch o := b.objects[r].(type) {
		case *model.Namespace:
			for _, key := range slices.Sorted(maps.Keys(o.Written)) {
				lines = append(lines, fmt.Sprintf("%s %s: %s", r, key, o.Written[key]))
			}
		case *model.Subnet:
			if o.UID == createdUID {
				lines = append(lines, fmt.Sprintf("%s made: %s gateway %s %s %v, private %v, except %v", r, model.PrefixesText(o.CIDR),
					model.AddrsText(o.Gateway), o.GatewayType, o.Gateways.Nodes, o.Private, o.AllowSubnets))
			}
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(out, "\n# namespaces\n%s\n", strings.Join(lines, "\n"))
	}
}

func (b *harness) read(file string) []engine.Change {
	b.t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []engine.Change
	for doc := range strings.SplitSeq(string(raw), "\n---\n") {
		ch, err := b.decode([]byte(doc))
		if err != nil {
			b.t.Fatalf("%s: %v", file, err)
		}
		out = append(out, ch)
	}
	return out
}

func (b *harness) decode(doc []byte) (engine.Change, error) {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &meta); err != nil {
		return engine.Change{}, err
	}
	kind, ok := b.kinds.Of(model.Kind(meta.Kind))
	if !ok {
		return engine.Change{}, errors.New("kind " + meta.Kind + " is not read")
	}
	o := kind.New()
	if err := yaml.UnmarshalStrict(doc, o); err != nil {
		return engine.Change{}, err
	}
	return kind.Project(o), nil
}
