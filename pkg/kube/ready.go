// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/apihealth"
)

// probeInterval is the time between two requests for the kinds that the API server serves.
const probeInterval = 2 * time.Second

// Probe waits until the API server serves our kinds.
type Probe struct {
	API    rest.Interface // of any group, for absolute paths
	Health *apihealth.Reporter
	Clock  clock.Clock
	Log    logr.Logger
}

// Wait returns once the API server is reachable and serves every required kind, or with the context's error. It logs
// which kinds are missing.
func (p *Probe) Wait(ctx context.Context) error {
	for {
		missing, err := p.missing(ctx)
		switch {
		case err == nil && len(missing) == 0:
			p.Log.Info("API server is reachable and serves all kinds", "server", p.Health.Server)
			return nil
		case err == nil:
			p.Health.Report("CustomResourceDefinitions are missing: apply them (config/crd); retrying",
				fmt.Errorf("not served: %s", strings.Join(missing, ", ")))
		case ctx.Err() == nil && !p.Health.Unreachable(err):
			p.Health.Report("the kinds of the API server cannot be read, retrying", err)
		}
		timer := p.Clock.NewTimer(probeInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C():
		}
	}
}

// missing lists the required kinds that are not served.
func (p *Probe) missing(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	served := &metav1.APIResourceList{}
	err := p.API.Get().AbsPath("/apis/"+v1.GroupVersion.String()).SetHeader("Accept", "application/json").Do(ctx).Into(served)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	kinds := map[string]bool{}
	for _, r := range served.APIResources {
		kinds[r.Kind] = true
	}
	return missingFrom(kinds), nil
}

func missingFrom(served map[string]bool) []string {
	var missing []string
	for _, k := range AllKinds() {
		if k.Definition == "" && k.GVK.Group == v1.GroupName && !served[k.GVK.Kind] {
			missing = append(missing, k.resource().String())
		}
	}
	return missing
}
