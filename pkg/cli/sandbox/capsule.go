// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// The following commands are for internal use: the program runs itself with them inside a sandbox.

func capsuleInitCommand() *cobra.Command {
	return &cobra.Command{
		Use: sandbox.EnterCommand + " SPEC", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return sandbox.EnterCapsule(os.Args[0], args[0]) },
	}
}

func capsuleRunCommand() *cobra.Command {
	return &cobra.Command{
		Use: "capsule-run SPEC", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			log := logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil))
			return sandbox.RunCapsule(cmd.Context(), args[0], log, time.Now)
		},
	}
}

func capsuleEchoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "capsule-echo", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return sandbox.Echo(cmd.Context()) },
	}
}
