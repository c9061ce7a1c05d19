// SPDX-License-Identifier: Apache-2.0

package diff_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/node/driver/diff"
)

// item has a key before the equals sign.
type item string

func TestApply(t *testing.T) {
	refused := errors.New("refused")
	for _, c := range []struct {
		name       string
		have, want []item
		keepOthers bool
		changes    []string
		err        string
	}{
		{"in sync", []item{"a=1"}, []item{"a=1"}, false, nil, ""},
		{"new ones before old ones go", []item{"a=1", "b=1"}, []item{"c=1", "b=2"}, false, []string{"add item c=1", "replace item b=2", "remove item a=1"}, ""},
		{"others are kept", []item{"a=1"}, []item{"b=1"}, true, []string{"add item b=1"}, ""},
		{"one is refused", nil, []item{"bad=1", "b=1"}, false, []string{"add item b=1"}, "add item bad=1: refused"},
	} {
		change := func(i item) error {
			if strings.HasPrefix(string(i), "bad") {
				return refused
			}
			return nil
		}
		kind := diff.Kind[item, string]{
			Name: "item", Text: func(i item) string { return string(i) }, Add: change, Replace: change, Delete: change,
			Key: func(i item) string { key, _, _ := strings.Cut(string(i), "="); return key },
		}
		changes, err := kind.Apply(c.have, c.want, func(item) bool { return c.keepOthers })
		if !slices.Equal(changes, c.changes) {
			t.Errorf("%s: changes %q, want %q", c.name, changes, c.changes)
		}
		if (c.err == "") != (err == nil) || err != nil && (err.Error() != c.err || !errors.Is(err, refused)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
	}
}
