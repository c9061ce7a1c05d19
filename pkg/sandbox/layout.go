// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// DefaultName is the name of the sandbox when none is given.
const DefaultName = "k0"

// MaxNodes bounds the number of nodes: their addresses are 192.168.77.11 to .110.
const MaxNodes = 100

// maxNameLength keeps names of cgroups and host names short. Links and namespaces do not contain the name, because they
// are inside the sandbox's own namespaces.
const maxNameLength = 12

var namePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// ValidateName checks a sandbox name: a lower-case DNS label of at most 12 characters that begins with a letter.
func ValidateName(name string) error {
	if len(name) > maxNameLength || !namePattern.MatchString(name) {
		return fmt.Errorf("sandbox name %q: want at most %d characters of a-z, 0-9 and '-', beginning with a letter and not ending with '-'", name, maxNameLength)
	}
	return nil
}

// Home is the directory for all files of sandboxes: build/ (finished builds, reused), run/<name> (one directory per
// running sandbox) and lock files.
type Home string

// DefaultHome is $WOVEN_SANDBOX_HOME, or ~/.cache/woven-sandbox.
func DefaultHome() (Home, error) {
	if dir := os.Getenv("WOVEN_SANDBOX_HOME"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("resolve WOVEN_SANDBOX_HOME %q: %w", dir, err)
		}
		return Home(abs), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory (set WOVEN_SANDBOX_HOME to choose one): %w", err)
	}
	return Home(filepath.Join(cache, "woven-sandbox")), nil
}

func (h Home) buildDir() string            { return filepath.Join(string(h), "build") }
func (h Home) runDir() string              { return filepath.Join(string(h), "run") }
func (h Home) lockFile(what string) string { return filepath.Join(string(h), "lock", what) }

// paths returns the paths of the sandbox called name.
func (h Home) paths(name string) Paths { return Paths{Home: h, Name: name} }

// Paths are the files of one sandbox.
type Paths struct {
	Home Home
	Name string
}

// Dir is the run directory of the sandbox; `down` removes it.
func (p Paths) Dir() string { return filepath.Join(p.Home.runDir(), p.Name) }

// PKI is the path of a certificate, key or kubeconfig.
func (p Paths) PKI(file string) string { return filepath.Join(p.Dir(), "pki", file) }

// Kubeconfig is the administrator's kubeconfig. Its server is reachable inside the control plane's network namespace.
func (p Paths) Kubeconfig() string { return p.PKI("admin.conf") }

// Gate is the file that services with this gate wait for before their first start.
func (p Paths) Gate(name string) string { return filepath.Join(p.Dir(), "gates", name) }

func (p Paths) stateFile() string { return filepath.Join(p.Dir(), "state.json") }

// Capsule is the directory of one capsule: its spec, status, logs and own directories.
func (p Paths) Capsule(name string) string { return filepath.Join(p.Dir(), name) }

func (p Paths) own(capsule, dir string) string { return filepath.Join(p.Capsule(capsule), "own", dir) }

func (p Paths) specFile(capsule string) string { return filepath.Join(p.Capsule(capsule), "spec.json") }

func (p Paths) statusFile(capsule string) string {
	return filepath.Join(p.Capsule(capsule), "status.json")
}

func (p Paths) log(capsule, service string) string {
	return filepath.Join(p.Capsule(capsule), "log", service+".log")
}

// Names of the capsules that every sandbox has besides its nodes.
const (
	controlCapsule = "control"
	outsideCapsule = "outside"
)

// NodeName is the Kubernetes name of node n (numbered from 1), also the name of its capsule.
func NodeName(n int) string { return "n" + strconv.Itoa(n) }

// Addresses inside the sandbox. They are the same in every sandbox, because each has network namespaces of its own.
var (
	nodeNet4    = netip.MustParsePrefix("192.168.77.0/24")
	nodeNet6    = netip.MustParsePrefix("fd00:77::/64")
	podNet4     = netip.MustParsePrefix("10.16.0.0/16")
	podNet6     = netip.MustParsePrefix("fd00:10:16::/112")
	joinNet4    = netip.MustParsePrefix("100.64.0.0/16")
	joinNet6    = netip.MustParsePrefix("fd00:100:64::/112")
	serviceNet4 = netip.MustParsePrefix("10.96.0.0/16")
	serviceNet6 = netip.MustParsePrefix("fd00:10:96::/112")
)

const (
	controlHost = 1
	nodeHost0   = 10
	outsideHost = 254
	// OutsideEchoPort is the port on which the outside host replies to TCP and UDP with "<peer address>:<peer port>\n".
	OutsideEchoPort = 7007
)

// hostAddr returns address number n of a network: n is added to the last byte of the network's address.
func hostAddr(network netip.Prefix, n int) netip.Addr {
	raw := network.Addr().AsSlice()
	raw[len(raw)-1] += byte(n) // #nosec G115 -- at most 254
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// hostPrefixes are the addresses of host n with their prefix lengths, one per IP family in use.
func hostPrefixes(n int, dual bool) []netip.Prefix {
	prefixes := []netip.Prefix{netip.PrefixFrom(hostAddr(nodeNet4, n), nodeNet4.Bits())}
	if dual {
		prefixes = append(prefixes, netip.PrefixFrom(hostAddr(nodeNet6, n), nodeNet6.Bits()))
	}
	return prefixes
}

// NodeAddr is the IPv4 address of node n or, with v6, its IPv6 address in a dual-stack sandbox.
func NodeAddr(n int, v6 bool) netip.Addr {
	if v6 {
		return hostAddr(nodeNet6, nodeHost0+n)
	}
	return hostAddr(nodeNet4, nodeHost0+n)
}

// ControlAddr is the IPv4 address of the control plane: the API server and OVN's databases listen on it.
func ControlAddr() netip.Addr { return hostAddr(nodeNet4, controlHost) }

// OutsideAddr is the address of the host outside the cluster, which replies to ping and on OutsideEchoPort.
func OutsideAddr(v6 bool) netip.Addr {
	if v6 {
		return hostAddr(nodeNet6, outsideHost)
	}
	return hostAddr(nodeNet4, outsideHost)
}
