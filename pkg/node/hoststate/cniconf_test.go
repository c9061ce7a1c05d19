// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const plain = `{
  "cniVersion": "1.0.0",
  "name": "woven",
  "plugins": [
    {
      "server_socket": "/run/woven.sock",
      "type": "woven-cni"
    }
  ]
}
`

const chained = `{
  "cniVersion": "1.0.0",
  "name": "woven",
  "plugins": [
    {
      "server_socket": "/run/woven.sock",
      "type": "woven-cni"
    },
    {
      "capabilities": {
        "portMappings": true
      },
      "snat": true,
      "type": "portmap"
    }
  ]
}
`

// TestConfFileChainsPortmap: only while the plugin is there.
func TestConfFileChainsPortmap(t *testing.T) {
	c := ConfFile{Dir: t.TempDir(), Name: "01-woven.conflist", Socket: "/run/woven.sock", BinDir: t.TempDir()}
	plugin := filepath.Join(c.BinDir, "portmap")
	write := func(mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(plugin, []byte("#!"), mode); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(why, want string, changes bool) {
		t.Helper()
		changed, err := c.Ensure()
		if err != nil || changed != changes {
			t.Fatalf("%s: changed %v, %v", why, changed, err)
		}
		have, err := os.ReadFile(c.Path())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(have)); diff != "" {
			t.Errorf("%s (-want +have):\n%s", why, diff)
		}
	}
	expect("no plugin", plain, true)
	write(0o600)
	expect("what is no program is no plugin", plain, false)
	if err := os.Remove(plugin); err != nil {
		t.Fatal(err)
	}
	write(0o700)
	expect("the plugin comes", chained, true)
	expect("nothing has changed", chained, false)
	if err := os.Remove(plugin); err != nil {
		t.Fatal(err)
	}
	expect("the plugin is gone", plain, true)
	if err := os.WriteFile(filepath.Join(c.Dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.BinDir = filepath.Join(c.Dir, "file")
	if _, err := c.Ensure(); err == nil || !strings.Contains(err.Error(), "look for CNI plugin portmap") {
		t.Errorf("a directory that cannot be read: %v", err)
	}
}
