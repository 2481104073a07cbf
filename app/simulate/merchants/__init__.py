"""Merchants: suppliers who sell products, ship orders, give service, register, and take part in programmes.

    desk        what the parts of one merchant share: agenda, random numbers, messages, faults
      ├─ catalogue   products that get better, and sometimes worse
      ├─ trade       orders, their dispatch, refunds
      ├─ service     requests of buyers, and what the merchant does about them
      ├─ papers      certificates that lapse and are renewed, declarations
      ├─ enrolment   claims of programmes, their tasks, rewards, contacts
      └─ growth      measures that the marketplace counts: logins, leads, tasks of newcomers
    shop        the merchant's own account of stars, selection and blocks: what is lost goes into the manifest

The rules are repeated in `tables.py` on purpose, as those of rooms are in `app/simulate/rules.py`.
"""
