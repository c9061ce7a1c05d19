// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PluginType is the name of the CNI plugin's binary.
const PluginType = "woven-cni"

// portMapper is the plugin of containernetworking that forwards ports of the node to pods (hostPort). Kubernetes leaves
// that to the network's configuration.
const portMapper = "portmap"

// confVersion is the newest version of the CNI specification that every
// supported container runtime reads in a configuration (containerd 1.6 knows
// 1.0.0 and no later one).
const confVersion = "1.0.0"

// ConfFile is the network configuration that makes the container runtime call us.
// The runtime takes the node for ready as soon as the file is there.
type ConfFile struct {
	// Dir and Name of the file.
	Dir, Name string
	// Socket is the path on which CNI requests are served.
	Socket string
	// BinDir is where the runtime finds plugins. If [portMapper] is among them, it is chained.
	BinDir string
}

// Path of the file.
func (c ConfFile) Path() string { return filepath.Join(c.Dir, c.Name) }

// Content of the file: a network configuration list (CNI specification, section 1).
func (c ConfFile) Content() ([]byte, error) {
	plugins := []map[string]any{{"type": PluginType, "server_socket": c.Socket}}
	mapsPorts, err := c.mapsPorts()
	if err != nil {
		return nil, err
	}
	if mapsPorts {
		// Whether it uses nft or iptables it finds out by itself: it runs with the programs of the node. With "snat" a
		// pod reaches itself, and the node's loopback addresses reach it.
		plugins = append(plugins, map[string]any{"type": portMapper, "snat": true, "capabilities": map[string]bool{"portMappings": true}})
	}
	b, err := json.MarshalIndent(map[string]any{
		"cniVersion": confVersion,
		"name":       "woven",
		"plugins":    plugins,
	}, "", "  ")
	return append(b, '\n'), err
}

// mapsPorts reports whether the plugin exists: a missing one would make every ADD fail.
func (c ConfFile) mapsPorts() (bool, error) {
	if c.BinDir == "" {
		return false, nil
	}
	info, err := os.Stat(filepath.Join(c.BinDir, portMapper))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for CNI plugin %s: %w", portMapper, err)
	}
	return info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0, nil
}

// Ensure writes the file if it is missing or another; no reader ever sees half of it.
func (c ConfFile) Ensure() (changed bool, err error) {
	want, err := c.Content()
	if err != nil {
		return false, fmt.Errorf("make network configuration: %w", err)
	}
	have, err := os.ReadFile(c.Path())
	if err == nil && bytes.Equal(have, want) {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read network configuration: %w", err)
	}
	// The runtime reads only *.conf, *.conflist and *.json: the temporary name is none of them.
	tmp, err := os.CreateTemp(c.Dir, "."+c.Name+".*.tmp")
	if err != nil {
		return false, fmt.Errorf("write network configuration: %w", err)
	}
	err = write(tmp, want)
	if err == nil {
		err = os.Rename(tmp.Name(), c.Path())
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("write network configuration %s: %w", c.Path(), err), os.Remove(tmp.Name()))
	}
	return true, nil
}

func write(f *os.File, content []byte) error {
	_, err := f.Write(content)
	return errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
}
