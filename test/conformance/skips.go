// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"syscall"

	"sigs.k8s.io/yaml"
)

// The only reasons to skip a spec.
const (
	noCloud  = "no cloud provider"
	noPublic = "no public network"
	noKernel = "kernel feature missing"
)

var reasons = []string{noCloud, noPublic, noKernel}

//go:embed skips.yaml
var skipsFile []byte

// skip is an entry of skips.yaml.
type skip struct {
	// Suite is kubernetes (or empty) or network-policy-api; entries of the latter apply to both of its suites.
	Suite string `json:"suite,omitempty"`
	// Specs is a regular expression (RE2) that must match a selected spec.
	Specs string `json:"specs"`
	// Reason is one of reasons.
	Reason string `json:"reason"`
	// Why explains the reason in a sentence.
	Why string `json:"why"`
	// Feature is the missing kernel feature, one of kernelFeatures. The specs run on kernels that have it.
	Feature string `json:"feature,omitempty"`

	pattern *regexp.Regexp
}

// kernelFeatures report whether this machine's kernel has a feature.
var kernelFeatures = map[string]func() bool{
	"sctp": func() bool { return hasSocket(syscall.AF_INET, syscall.SOCK_STREAM, protocolSCTP) },
	// The sandbox always uses the userspace datapath of Open vSwitch, never the kernel's.
	"openvswitch": func() bool { return false },
}

// protocolSCTP is IANA's number of SCTP (RFC 9260).
const protocolSCTP = 132

func hasSocket(family, kind, protocol int) bool {
	fd, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC, protocol)
	if err != nil {
		return false
	}
	_ = syscall.Close(fd)
	return true
}

// readSkips parses and checks skips.yaml; entries are by suite.
func readSkips(raw []byte) (map[string][]skip, error) {
	var file struct {
		Skips []skip `json:"skips"`
	}
	if err := yaml.UnmarshalStrict(raw, &file); err != nil {
		return nil, fmt.Errorf("skips.yaml: %w", err)
	}
	var problems []error
	bySuite := map[string][]skip{}
	for i := range file.Skips {
		if err := file.Skips[i].check(); err != nil {
			problems = append(problems, fmt.Errorf("skips.yaml: entry %d (%q): %w", i+1, file.Skips[i].Specs, err))
		}
		suite := cmp.Or(file.Skips[i].Suite, suiteKubernetes)
		bySuite[suite] = append(bySuite[suite], file.Skips[i])
	}
	return bySuite, errors.Join(problems...)
}

func (s *skip) check() (err error) {
	switch {
	case s.Suite != "" && s.Suite != suiteKubernetes && s.Suite != suitePolicies:
		return fmt.Errorf("suite: %q is neither %s nor %s", s.Suite, suiteKubernetes, suitePolicies)
	case s.Specs == "":
		return errors.New("specs: is empty")
	case !slices.Contains(reasons, s.Reason):
		return fmt.Errorf("reason: %q is none of %q", s.Reason, reasons)
	case s.Why == "":
		return errors.New("why: is empty")
	case s.Feature != "" && kernelFeatures[s.Feature] == nil:
		return fmt.Errorf("feature: %q is unknown", s.Feature)
	case (s.Feature != "") != (s.Reason == noKernel):
		return fmt.Errorf("feature: goes with the reason %q, and only with it", noKernel)
	}
	if s.pattern, err = regexp.Compile(s.Specs); err != nil {
		return fmt.Errorf("specs: %w", err)
	}
	return nil
}

// applies reports whether the reason applies to this machine; has reports whether its kernel has a feature.
func (s *skip) applies(has func(feature string) bool) bool { return s.Feature == "" || !has(s.Feature) }

func hasFeature(name string) bool { return kernelFeatures[name]() }
