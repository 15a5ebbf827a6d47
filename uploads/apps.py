from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UploadsConfig(AppConfig):
    name = "uploads"

    def ready(self) -> None:
        from accounts import admission
        from jobs import registry as jobs
        from jobs import retention
        from uploads import assembly, exports, transfers
        from uploads import retention as forgetting

        exports.register_all()
        admission.register("uploads.room", transfers.check_room)
        jobs.register(
            assembly.ASSEMBLY_JOB,
            assembly.run_assembly,
            timeout=timedelta(minutes=15),
            label=_("Putting an upload together"),
            on_failure=assembly.give_up,
            on_retry=assembly.retry,
        )
        jobs.register_periodic(
            "uploads.clean_up",
            transfers.clean_up,
            every=timedelta(minutes=10),
            label=_("Ending uploads that nobody goes on with"),
        )
        retention.register("uploads.payloads", forgetting.forget_payloads, keep="PAYLOAD_DAYS")
        retention.register("uploads.transfers", transfers.forget_transfers, keep="TRANSFER_DAYS")
