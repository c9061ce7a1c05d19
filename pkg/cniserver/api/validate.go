// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"regexp"
	"strings"
)

// FieldError is an invalid field of a request.
type FieldError struct {
	// Field is the JSON key.
	Field string
	// Cause is the reason.
	Cause string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Cause }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Cause: fmt.Sprintf(format, args...)}
}

// Op is an operation of a [Request]. Operations require different fields.
type Op string

// The operations. The values are those of CNI_COMMAND as metrics spell them.
const (
	OpAdd    Op = "add"
	OpDel    Op = "del"
	OpCheck  Op = "check"
	OpGC     Op = "gc"
	OpStatus Op = "status"
)

const (
	maxIfName   = 15 // IFNAMSIZ - 1
	maxID       = 253
	maxRoutes   = 256
	maxAttached = 8192
)

var (
	// idPattern matches the container ids that the CNI specification allows.
	idPattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.\-]*$`)
	dnsLabel     = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
	dnsLabelRE   = regexp.MustCompile(`^` + dnsLabel + `$`)
	dnsNameRE    = regexp.MustCompile(`^` + dnsLabel + `(\.` + dnsLabel + `)*$`)
	netnsParents = []string{"/proc/", "/run/", "/var/run/"}
)

// DecodeRequest reads one request of at most [MaxBody] bytes and validates it for op. It ignores unknown keys, so that
// a plugin and a server of different releases work together.
func DecodeRequest(r io.Reader, op Op) (Request, error) {
	var req Request
	if err := decode(r, &req); err != nil {
		return Request{}, err
	}
	return req, req.Validate(op)
}

// DecodeGC reads and validates a GC request.
func DecodeGC(r io.Reader) (GCRequest, error) {
	var req GCRequest
	if err := decode(r, &req); err != nil {
		return GCRequest{}, err
	}
	return req, req.Validate()
}

func decode(r io.Reader, into any) error {
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil {
		return fmt.Errorf("read request body: %w", err)
	}
	if len(body) > MaxBody {
		return fieldErrorf("body", "longer than %d bytes", MaxBody)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return fieldErrorf("body", "is empty, want a JSON object")
	}
	if err := json.Unmarshal(body, into); err != nil {
		var typeErr *json.UnmarshalTypeError
		if errors.As(err, &typeErr) && typeErr.Field != "" {
			return fieldErrorf(typeErr.Field, "is a JSON %s, want %s", typeErr.Value, typeErr.Type)
		}
		return fieldErrorf("body", "is not the JSON of a request: %v", err)
	}
	return nil
}

// Validate returns a [FieldError] for the first field that is invalid for op.
func (r Request) Validate(op Op) error {
	if err := validateAttachment(r.ContainerID, r.IfName); err != nil {
		return err
	}
	if err := validateNetNS(r.NetNS, op == OpDel); err != nil {
		return err
	}
	if err := validateProvider(r.Provider); err != nil {
		return err
	}
	if err := r.validatePod(op == OpDel); err != nil {
		return err
	}
	if err := r.validateUnsupported(); err != nil {
		return err
	}
	if err := ValidateRoutes(r.Routes); err != nil {
		return err
	}
	return validateIPs(r.IPs)
}

// Validate returns a [FieldError] for the first invalid attachment.
func (r GCRequest) Validate() error {
	if len(r.ValidAttachments) > maxAttached {
		return fieldErrorf("valid_attachments", "has %d elements, at most %d are allowed", len(r.ValidAttachments), maxAttached)
	}
	for i, a := range r.ValidAttachments {
		if err := validateAttachment(a.ContainerID, a.IfName); err != nil {
			return fmt.Errorf("valid_attachments[%d]: %w", i, err)
		}
	}
	return nil
}

func validateAttachment(containerID, ifName string) error {
	switch {
	case containerID == "":
		return fieldErrorf("container_id", "is empty")
	case len(containerID) > maxID:
		return fieldErrorf("container_id", "is longer than %d characters", maxID)
	case !idPattern.MatchString(containerID):
		return fieldErrorf("container_id", "%q must begin with a letter or digit, followed by letters, digits, '_', '.' and '-'", containerID)
	}
	return validateIfName(ifName)
}

// validateIfName checks the kernel's rules for interface names (dev_valid_name).
func validateIfName(name string) error {
	switch {
	case name == "":
		return fieldErrorf("if_name", "is empty")
	case len(name) > maxIfName:
		return fieldErrorf("if_name", "%q is longer than %d characters", name, maxIfName)
	case name == "." || name == "..":
		return fieldErrorf("if_name", "%q is not an interface name", name)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == '/' || c == ':' || c == '%' {
			return fieldErrorf("if_name", "%q contains %q, which an interface name must not contain", name, rune(c))
		}
	}
	return nil
}

func validateNetNS(p string, optional bool) error {
	switch {
	case p == "" && optional:
		return nil
	case p == "":
		return fieldErrorf("net_ns", "is empty")
	case len(p) > 4096 || strings.ContainsRune(p, 0):
		return fieldErrorf("net_ns", "is not a path")
	case !strings.HasPrefix(p, "/"):
		return fieldErrorf("net_ns", "%q is not an absolute path", p)
	case path.Clean(p) != p:
		return fieldErrorf("net_ns", "%q is not a clean path, want %q", p, path.Clean(p))
	}
	for _, parent := range netnsParents {
		if strings.HasPrefix(p, parent) {
			return nil
		}
	}
	return fieldErrorf("net_ns", "%q is not below %s", p, strings.Join(netnsParents, ", "))
}

func validateProvider(p string) error {
	if p == "" {
		return nil
	}
	if len(p) > maxID || !dnsNameRE.MatchString(p) {
		return fieldErrorf("provider", "%q is not a DNS-1123 subdomain", p)
	}
	return nil
}

func (r Request) validatePod(optional bool) error {
	if r.PodName != "" || !optional {
		if len(r.PodName) > maxID || !dnsNameRE.MatchString(r.PodName) {
			return fieldErrorf("pod_name", "%q is not a DNS-1123 subdomain", r.PodName)
		}
	}
	if r.PodNamespace != "" || !optional {
		if len(r.PodNamespace) > 63 || !dnsLabelRE.MatchString(r.PodNamespace) {
			return fieldErrorf("pod_namespace", "%q is not a DNS-1123 label", r.PodNamespace)
		}
	}
	if r.PodUID != "" && (len(r.PodUID) > maxID || !idPattern.MatchString(r.PodUID)) {
		return fieldErrorf("pod_uid", "%q is not a UID", r.PodUID)
	}
	return nil
}

func (r Request) validateUnsupported() error {
	for _, f := range []struct{ key, value string }{
		{"vf_driver", r.VfDriver},
		{"deviceID", r.DeviceID},
		{"vhost_user_socket_volume_name", r.VhostUserSocketVolumeName},
		{"vhost_user_socket_name", r.VhostUserSocketName},
		{"vhost_user_socket_consumption", r.VhostUserSocketConsumption},
	} {
		if f.value != "" {
			return fieldErrorf(f.key, "is %q, but SR-IOV and DPDK interfaces are not supported", f.value)
		}
	}
	return nil
}

// ValidateRoutes checks that every destination is a CIDR and every gateway an address of the same IP family. One of
// both may be empty.
func ValidateRoutes(routes []Route) error {
	if len(routes) > maxRoutes {
		return fieldErrorf("routes", "has %d elements, at most %d are allowed", len(routes), maxRoutes)
	}
	for i, route := range routes {
		dst, err := netip.ParsePrefix(route.Destination)
		if err != nil && (route.Destination != "" || route.Gateway == "") {
			return fieldErrorf(fmt.Sprintf("routes[%d].dst", i), "%q is not a CIDR", route.Destination)
		}
		if route.Gateway == "" {
			continue
		}
		gw, err := netip.ParseAddr(route.Gateway)
		if err != nil || gw.Zone() != "" {
			return fieldErrorf(fmt.Sprintf("routes[%d].gw", i), "%q is not an IP address", route.Gateway)
		}
		if route.Destination != "" && gw.Is4() != dst.Addr().Is4() {
			return fieldErrorf(fmt.Sprintf("routes[%d].gw", i), "%s and the destination %s are of different IP families", gw, dst)
		}
	}
	return nil
}

func validateIPs(ips []IP) error {
	if len(ips) > maxRoutes {
		return fieldErrorf("ips", "has %d elements, at most %d are allowed", len(ips), maxRoutes)
	}
	for i, ip := range ips {
		if addr, err := netip.ParseAddr(ip.IP); err != nil || addr.Zone() != "" {
			return fieldErrorf(fmt.Sprintf("ips[%d].ip", i), "%q is not an IP address", ip.IP)
		}
	}
	return nil
}
